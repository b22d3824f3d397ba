# The commands of a clone; `make help` lists them. The build itself is CMake's (CMakeLists.txt, CMakePresets.json).
.DEFAULT_GOAL := build
.PHONY: build test test-all train translate bench sanitize fuzz lint package device-test install help setup setup-tools setup-bench asan tsan

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60

build: setup build/release/build.ninja ## set up and build: build/release/bin/tessera and the library
	cmake --build --preset release

train: build ## train a convolutional network on Fashion-MNIST into runs/, and say where the report is
	build/release/bin/tessera train fashion-cnn

translate: build ## train a translator from English to German into runs/, and say where the report is
	scripts/corpus.sh build/release/bin/tessera en de data/libreoffice-help-en-de
	build/release/bin/tessera train translate

test: build ## build, and run every test this machine can run
	ctest --preset release

test-all: build ## the same, with the tests that take too long for every day
	ctest --preset release-all

sanitize: asan tsan ## the tests under the address, undefined-behaviour and thread sanitizers

asan tsan: %: setup build/%/build.ninja
	cmake --build --preset $@
	ctest --preset $@

fuzz: setup setup-tools build/fuzz/build.ninja ## every reader on broken input, FUZZ_SECONDS (60) each
	cmake --build --preset fuzz --target fuzzers
	scripts/fuzz.sh build/fuzz $(FUZZ_SECONDS)

lint: setup setup-tools build/fuzz/build.ninja ## the form of the sources: clang-format and clang-tidy
	scripts/lint.sh build/fuzz

bench: setup setup-bench ## the speed against PyTorch and JAX, in one run, into bench/RESULTS.md
	cmake --preset release
	cmake --build --preset release
	bench/setup_peers.sh
	build/peers/bin/python bench/run.py

package: setup build/package/build.ninja ## the relocatable archive: build/package/tessera-VERSION-linux-x86_64.tar.gz
	cmake --build --preset package
	cpack --config build/package/CPackConfig.cmake -B build/package
	scripts/check_package.sh build/package/tessera-*.tar.gz

device-test: package ## pack what tests a GPU (build/package/device-test.tar.xz), and run it where there is one
	cmake --build build/package --target device_tests
	rm -rf build/package/device-test
	cmake --install build/package --prefix build/package/device-test --strip
	cmake --install build/package --prefix build/package/device-test --strip --component device_test
	rm -r build/package/device-test/include build/package/device-test/lib/cmake build/package/device-test/lib/pkgconfig
	tar -C build/package -cJf build/package/device-test.tar.xz device-test
	@if [ -e /dev/nvidiactl ]; then \
	  build/package/device-test/device_test.sh correct build/device-test/correct && \
	  build/package/device-test/device_test.sh speed build/device-test/speed; \
	else echo "no NVIDIA GPU here: unpack build/package/device-test.tar.xz beside one and run device-test/device_test.sh"; fi

install: build ## headers, library, CMake package, pkg-config file, the command: into PREFIX (/usr/local)
	cmake --install build/release --prefix $(abspath $(PREFIX))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { sub("^build$$", "", $$1); sub("^install$$", "& PREFIX=DIR", $$1); \
	  printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:
	@scripts/setup.sh build
setup-tools:
	@scripts/setup.sh tools
setup-bench:
	@scripts/setup.sh bench

# A preset is configured once, and again when it changes; the build itself notices everything else.
build/%/build.ninja: CMakePresets.json | setup
	cmake --preset $*
