// kustomize, built from its Go module.
module kaos.dev/testbed/kustomize

go 1.26.0
