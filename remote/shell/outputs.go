package shell

import (
	"io"
	"reflect"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// Outputs returns where what a command prints is to be written. Writing never fails there: the
// first error of the caller's writer calls broken, once, which ends the command as a closed pipe
// would. Where both outputs have the same writer, it is written to by one at a time.
func Outputs(cmd *compute.Command, broken func()) (stdout, stderr io.Writer) {
	var once sync.Once
	to := func(w io.Writer) io.Writer {
		if w == nil {
			return io.Discard
		}
		return &output{w: w, broken: func() { once.Do(broken) }}
	}
	stdout = to(cmd.Stdout)
	if a, b := cmd.Stdout, cmd.Stderr; a != nil && reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && a == b {
		return stdout, stdout
	}
	return stdout, to(cmd.Stderr)
}

type output struct {
	mu     sync.Mutex
	w      io.Writer
	broken func()
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.w.Write(b); err != nil {
		o.broken()
	}
	return len(b), nil
}
