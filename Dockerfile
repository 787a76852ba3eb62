# The image of Sekali: one static binary in an empty root, run by a user
# without rights.
#
#   docker build -t sekali . && docker run -p 8080:8080 -v sekali:/data sekali
#
# Another base for building (it needs Go and a shell): --build-arg BUILD_IMAGE=...
ARG BUILD_IMAGE=golang:1.26-bookworm

FROM ${BUILD_IMAGE} AS build
WORKDIR /src

# For builders behind a proxy: --build-arg GOPROXY=... ; unset, Go's own
# defaults hold.
ARG GOPROXY
ARG GOFLAGS

# The dependencies are a layer of their own: it is built anew only when they
# change.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
# Nothing can be made or owned in an empty root, so /data comes from here too.
RUN CGO_ENABLED=0 go build -trimpath \
      -ldflags "-s -w -X sekali/internal/buildinfo.version=${VERSION} -X sekali/internal/buildinfo.commit=${COMMIT} -X sekali/internal/buildinfo.date=${DATE}" \
      -o /out/sekali ./cmd/sekali \
 && mkdir /out/data

FROM scratch
ARG VERSION=dev
ARG COMMIT=unknown
ARG DATE=unknown
LABEL org.opencontainers.image.title="Sekali" \
      org.opencontainers.image.description="The event gate that stores and counts each event once." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${DATE}"

COPY LICENSE /LICENSE
COPY --from=build /out/sekali /sekali
# A new volume takes over the owner of what it covers.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532

# A container is reached from outside or not at all, so the image listens on
# every address and says so by name. Publish the port with care until there
# is a key (docker exec NAME /sekali keys create): from then on all need one.
ENV SEKALI_LISTEN=0.0.0.0:8080 \
    SEKALI_DATA_DIR=/data \
    SEKALI_ALLOW_ANONYMOUS=true
EXPOSE 8080
VOLUME /data

STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/sekali", "healthcheck"]
ENTRYPOINT ["/sekali"]
CMD ["serve"]
