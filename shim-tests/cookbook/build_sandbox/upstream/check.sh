#!/bin/sh
# Upstream's `make check`. Exit status 77: skipped.
set -eu
cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cc -Wall -Wextra -Werror -o "$build/tap_test" tap_test.c
"$build/tap_test"
