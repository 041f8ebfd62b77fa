#!/usr/bin/env bash
# Makes the root file system of a stand-in for python:3.11-slim, for machines that reach no image registry:
# a minimal Debian of this machine's release with this machine's CPython under /usr/local, where the official
# image has it too.
#   base_image.sh PYTHON OUT.tar
set -euo pipefail

python=${1:?usage: base_image.sh PYTHON OUT.tar}
out=${2:?usage: base_image.sh PYTHON OUT.tar}
version=3.11

prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
if [[ $prefix == /usr ]]; then
    echo "base_image.sh: $python belongs to Debian, whose layout cannot move; give a CPython with a prefix of its own" >&2
    exit 2
fi

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
local_tree=$stage/tree/usr/local
mkdir -p "$local_tree"/{bin,lib}
cp "$prefix/bin/python$version" "$local_tree/bin/"
ln -s "python$version" "$local_tree/bin/python3"
ln -s "python$version" "$local_tree/bin/python"
find "$prefix/lib" -maxdepth 1 -name 'libpython*.so*' -exec cp -a -t "$local_tree/lib" {} +
# The library without what was installed into it, its own tests, its desktop parts and its static archive.
tar -C "$prefix/lib" -c \
    --exclude="python$version/site-packages/*" --exclude=__pycache__ --exclude='*.a' \
    --exclude="python$version/test" --exclude="python$version/idlelib" --exclude="python$version/turtledemo" \
    --exclude="python$version/tkinter" --exclude='_tkinter*.so' "python$version" | tar -C "$local_tree/lib" -x

# Debian's packages that own the shared libraries which this CPython was linked against.
packages=$(
    find "$local_tree" -name '*.so' -exec ldd {} + | awk '$2 == "=>" && $3 ~ "^/" {print $1}' | sort -u |
        while read -r library; do dpkg-query -S "*/$library" 2>/dev/null || true; done |
        cut -d: -f1 | grep -v -- '-cross$' | sort -u | paste -sd,
)

tar -C "$stage/tree" -cf "$stage/python.tar" .
mmdebstrap --variant=minbase --quiet \
    --include="ca-certificates,netbase,tzdata,$packages" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="tar-in $stage/python.tar /" \
    --customize-hook='chroot "$1" ldconfig' \
    --customize-hook='chroot "$1" /usr/local/bin/python -m ensurepip --default-pip' \
    "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$out"
