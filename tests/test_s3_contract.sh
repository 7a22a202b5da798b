#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The contract of s3/s3.h on the embedded local bucket.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/contract.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
./tests/s3_contract "file://$dir"
