// Helm, built from its Go module.
module kaos.dev/testbed/helm

go 1.26.0
