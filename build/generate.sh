#!/bin/sh
# Makes all generated source again: constants and C headers from build/gen/tables,
# Go from the .proto files. Needs protoc (Debian: protobuf-compiler).
set -eu
cd "$(dirname "$0")/.."
bin=$PWD/build/out/tools
GOBIN=$bin go install -modfile=build/tools.mod \
	google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
go run ./build/gen
PATH=$bin:$PATH protoc -I grep11client/grep11pb -I grep11client/extpb \
	--go_out=. --go_opt=module=grep11 --go-grpc_out=. --go-grpc_opt=module=grep11 \
	crypto.proto errors.proto ext.proto admin.proto
