# The image of the operator: one static binary and CA certificates.
#
#   docker build --tag warehouse-sync-operator .
#   docker build --target binaries --output dist .     # the binaries of the operator and of kubectl-wsp
#
# It builds for the architecture of the machine; the release builds on one machine of each.

# The version is that of rust-toolchain.toml (a test holds this); the variable keeps rustup from fetching what only tests need.
FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates make musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN bash .ci/static-binary /out

FROM scratch AS binaries
COPY --from=build /out/ /

# No shell and no package manager: nothing that could be run by whoever gets in, and nothing to be patched but the binary.
FROM scratch
ARG VERSION=unreleased
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="warehouse-sync-operator" \
      org.opencontainers.image.description="Keeps PostHog data-warehouse syncs healthy, and asks before it touches data" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/warehouse-sync-operator /warehouse-sync-operator
# By number: Kubernetes cannot tell of a name that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/warehouse-sync-operator"]
CMD ["run"]
