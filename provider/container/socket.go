package container

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// sockets lists the places where engines listen, in the order of search.
func sockets() []string {
	out := []string{"/var/run/docker.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		out = append(out, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman/podman.sock"))
	}
	return append(out, "/run/podman/podman.sock")
}

// local returns the path in a socket's address. It refuses engines elsewhere: their containers
// would see another machine's files.
func local(address, from string) (string, error) {
	path, ok := strings.CutPrefix(address, "unix://")
	if filepath.IsAbs(path) {
		return path, nil
	}
	_, _, remote := strings.Cut(address, "://")
	text := "%s = %s: no absolute path of a socket"
	if remote && !ok {
		text = "%s = %s: only engines on this machine, by their unix socket"
	}
	return "", &compute.Error{
		Kind: compute.ErrInvalid, Err: fmt.Errorf(text, from, address),
		Hint: "for another machine's containers make a source of type ssh there, or set socket to a unix socket",
	}
}

// finder returns a function that finds the engine's socket: the configured one, else $DOCKER_HOST,
// else the first existing one that we may use.
func finder(set string) (func() (string, error), error) {
	from := "socket"
	if set == "" {
		set, from = os.Getenv("DOCKER_HOST"), "$DOCKER_HOST"
	}
	if set != "" {
		path, err := local(set, from)
		return func() (string, error) { return path, nil }, err
	}
	return func() (string, error) {
		all, closed := sockets(), ""
		for _, path := range all {
			if fi, err := os.Stat(path); err != nil || fi.Mode().Type() != os.ModeSocket {
				continue
			}
			if unix.Access(path, unix.W_OK) == nil {
				return path, nil
			}
			closed = cmp.Or(closed, path)
		}
		if closed != "" {
			return closed, nil // the connect says why not
		}
		return "", &compute.Error{
			Kind: compute.ErrUnavailable, Err: fmt.Errorf("no container engine is there: none of %s", strings.Join(all, ", ")),
			Hint: "install and start docker or podman (systemctl start docker, systemctl --user start podman.socket), " +
				"or use a source of type sandbox, which needs neither",
		}
	}, nil
}
