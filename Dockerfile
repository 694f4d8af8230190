# syntax=docker/dockerfile:1

# Debian 12, as below: a binary needs the C library that it was linked with, or a later one.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# .cargo holds the flags that SQLite is built with; cargo wants the benchmarks that Cargo.toml names to be there.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY benches benches
# Optional parts: otel (docs/traces.md).
ARG FEATURES=""
# What is compiled stays in the cache between builds, so the binary is moved out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --bin sever --features "$FEATURES" \
    && install -D target/release/sever /out/sever \
    && install -d -m 0750 /out/state

# The C library, certificates and nothing to run but sever: no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="sever" \
      org.opencontainers.image.description="Ends every session of a compromised account, at every provider" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/sever /usr/local/bin/sever
COPY --from=build --chown=65532:65532 /out/state /var/lib/sever
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/sever
# Alerts, operators, metrics.
EXPOSE 8080 8081 9090
# Finishes what it holds within 25 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/sever"]
CMD ["serve", "--config", "/etc/sever/sever.yaml"]
