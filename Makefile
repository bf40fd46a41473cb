# The project's verbs; see README.md.

GO ?= go
OUT := build/out

.PHONY: build generate

build: $(OUT)
	$(GO) build -o $(OUT)/grep11 ./server/cmd/grep11

generate:
	build/generate.sh

$(OUT):
	mkdir -p $@
