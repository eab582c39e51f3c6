package controller

import (
	"cmp"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller/apiprocess"
)

// Options are those of a controller. The zero value serves its own user by the usual socket, and
// keeps the sources full.
type Options struct {
	Socket  Socket
	Network Network
	// TokenFile has the token of an administrator; "": controller.token in the state directory
	TokenFile string
	NoFill    bool // make nothing ahead of need
	// Drain is how long it serves on, not ready, after it was told to end
	Drain     time.Duration
	Telemetry Telemetry
}

// Socket is the unix socket for users of this machine.
type Socket struct {
	Path     string // "": the usual one in the runtime directory
	Everyone bool   // all users of this machine may use it, each with leases of their own
}

// Network is where others ask, by HTTP.
type Network struct {
	Address   string // HOST:PORT; "": nowhere
	Cert, Key string // files for TLS; "": none, and Address is on loopback
	ClientCA  string // a file with the authorities of clients' certificates; "": none
	// Process says whether a process without rights reads what comes: on, off, or auto: where the
	// controller is root and that process can be a user of its own
	Process string
}

// apiProcess returns the supervisor of the API process for listeners on the network, and the
// listeners that the controller serves itself.
func (n Network) apiProcess(all []net.Listener, version string, log *slog.Logger) ([]net.Listener, *apiprocess.Supervisor) {
	apart, strict, why := false, false, error(nil)
	switch n.Process {
	case "on", "true":
		apart, strict = true, true
	case "off", "false":
	case "", "auto":
		why = apiprocess.HasOwnUser()
		apart = why == nil
	}
	local, remote := apiprocess.SplitListeners(all, version, apart)
	remote.Strict = strict
	open := slices.ContainsFunc(local, func(l net.Listener) bool { return l.Addr().Network() != "unix" })
	if open && why != nil && os.Geteuid() == 0 {
		// an ordinary user's has none unless it is asked for
		log.Warn("no process of its own reads what strangers send: they have to do with root", "err", why)
		remote.Lacking = why
	}
	return local, remote
}

// check returns what is wrong with Process.
func (n Network) check() error {
	if slices.Contains([]string{"", "auto", "on", "true", "off", "false"}, n.Process) {
		return nil
	}
	return fault.Invalid("one of auto, on, off", "--api-process %s: no such way", n.Process)
}

// Telemetry says where metrics and logs go.
type Telemetry struct {
	Metrics   string // an address that answers scrapes of /metrics without authentication; "": none
	LogFormat string // text or json; "": text
	LogLevel  string // debug, info, warn or error; "": info
}

// Logger returns the controller's log. debug overrides the level.
func (o Telemetry) Logger(w io.Writer, debug bool) (*slog.Logger, error) {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(cmp.Or(o.LogLevel, "info"))); err != nil || strings.ContainsAny(o.LogLevel, "+-") {
		return nil, fault.Invalid("one of debug, info, warn, error", "--log-level %s: no such level", o.LogLevel)
	}
	if debug {
		level = slog.LevelDebug
	}
	opt := &slog.HandlerOptions{Level: level}
	switch cmp.Or(o.LogFormat, "text") {
	case "text":
		return slog.New(slog.NewTextHandler(w, opt)), nil
	case "json":
		opt.ReplaceAttr = func(_ []string, at slog.Attr) slog.Attr {
			if at.Value.Kind() == slog.KindDuration { // seconds, as in all documents
				at.Value = slog.Float64Value(at.Value.Duration().Seconds())
			}
			return at
		}
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	return nil, fault.Invalid("text or json", "--log-format %s: no such format", o.LogFormat)
}
