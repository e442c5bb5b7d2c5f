# One image for every role: docker run picresize [serve | api | worker | migrate | resize | …]
FROM rust:1.95.0-bookworm AS build

# For the codecs written in C and assembly, librdkafka and TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake libssl-dev nasm pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /picresize

# Builds the dependencies with empty packages. This layer is rebuilt only when a Cargo.toml or
# Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates/imaging/Cargo.toml crates/imaging/
COPY crates/kernels crates/kernels
COPY crates/load/Cargo.toml crates/load/
RUN mkdir -p src benches crates/imaging/src crates/imaging/benches crates/imaging/tests/imaging \
        crates/load/src \
    && echo 'fn main() {}' | tee src/main.rs benches/lookup.rs crates/imaging/tests/imaging/main.rs \
        crates/imaging/benches/stages.rs crates/imaging/benches/subject.rs \
        crates/load/src/main.rs \
    && touch src/lib.rs crates/imaging/src/lib.rs \
    && cargo build --release --locked --bin picresize

COPY . .
# Cargo compares modification times, and the checkout may be older than the empty files.
RUN touch src/main.rs src/lib.rs crates/imaging/src/lib.rs \
    && cargo build --release --locked --bin picresize \
    && strip target/release/picresize

FROM debian:bookworm-slim

# libheif1 reads HEIC; the program loads it at run time.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libheif1 libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin picresize \
    && install --directory --owner=picresize --group=picresize /data
COPY --from=build /picresize/LICENSE-APACHE /picresize/LICENSE-MIT /usr/share/doc/picresize/
COPY --from=build /picresize/target/release/picresize /usr/local/bin/

LABEL org.opencontainers.image.title="picresize" \
    org.opencontainers.image.description="Resizes pictures asynchronously: post a picture, get an ID, fetch the result" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0"

# Only published ports of a container can be reached, so the program listens on all addresses.
# `serve` keeps its log and its table in /data.
ENV PICRESIZE__SERVER__LISTEN=0.0.0.0:8000 \
    PICRESIZE__DATA__FOLDER=/data
USER picresize
WORKDIR /data
VOLUME /data
EXPOSE 8000
# A role with another address, such as a worker, needs: picresize health URL.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["picresize", "health"]
ENTRYPOINT ["picresize"]
CMD ["serve"]
