#!/usr/bin/env bash
# The installed package serves a host application: find_package(ebpfvm) and pkg-config both build
# examples/plugin, which runs a good plugin and survives a bad one.
# Usage: install_test.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log"
cmake -S "$source_dir/examples/plugin" -B "$work/shop" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/cmake.log" ||
    { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/shop" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }

out=$("$work/shop/shop" "$work/shop/discount.bpf.o" "$work/shop/rogue.bpf.o")
echo "$out"
expect() { grep -qF -- "$1" <<<"$out" || { echo "FAIL: the shop did not print: $1"; exit 1; }; }
expect "discount: customer 7, accepted, discount 5 %"
expect "discount: customer 9, refused, discount 0 %"
expect "plugin says: a big order"
expect "sold 500 of item 2"
expect "peek misbehaved, the shop goes on"
expect "scribble misbehaved, the shop goes on"
expect "spin misbehaved, the shop goes on"

export PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name ebpfvm.pc)")
g++ -std=c++2b -o "$work/shop-pc" "$source_dir/examples/plugin/main.cpp" $(pkg-config --cflags --libs ebpfvm) \
    -Wl,-rpath,"$(pkg-config --variable=libdir ebpfvm)"
"$work/shop-pc" "$work/shop/discount.bpf.o" >/dev/null
echo "installed package works"
