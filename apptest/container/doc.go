// Package container holds the test of the container image: buildah builds it
// from the Dockerfile on a base made of this machine's own files, podman runs
// it, and the test talks to it over HTTP. No engine has to run and nothing is
// pulled. It needs root and what apptest/install.sh installs.
package container
