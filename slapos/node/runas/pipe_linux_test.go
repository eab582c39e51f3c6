package runas_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// slow is a writer that takes longer for what it is given first than anybody waits for a pipe.
type slow struct {
	bytes.Buffer
	once bool
}

func (s *slow) Write(text []byte) (int, error) {
	if !s.once {
		s.once = true
		time.Sleep(1200 * time.Millisecond) // a writer that is slow to take what comes
	}
	return s.Buffer.Write(text)
}

// TestSlowWriter hands all that was written to who takes it slowly.
func TestSlowWriter(t *testing.T) {
	var out slow
	c := sh(t, `echo first; head -c 60000 /dev/zero | tr '\0' x; echo last`)
	c.Output = &out
	do(t, runas.Run(t.Context(), c))
	if text := out.String(); len(text) != 6+60000+5 || !strings.HasSuffix(text, "xlast\n") {
		t.Errorf("%d bytes, the end of them %q", len(text), text[max(0, len(text)-10):])
	}
}

type full struct{ n int }

func (f *full) Write([]byte) (int, error) { f.n++; return 0, errors.New("it is full") }

// TestOutlived does not wait for who has the output open and is not ended, whether he is silent or
// never ends; and a writer that fails is an error that nobody waits for.
func TestOutlived(t *testing.T) {
	for what, script := range map[string]string{"silent": `echo said; exec sleep 1000`, "never ends": `yes said`} {
		entry := fmt.Sprintf("OUTLIVED=%d-%s", os.Getpid(), what)
		var out bytes.Buffer
		c := sh(t, `(`+script+`) & sleep 0.1`)
		c.Env, c.Output, c.Spare = append(c.Env, entry), &out, true
		do(t, runas.Run(t.Context(), c))
		if !strings.HasPrefix(out.String(), "said\n") {
			t.Errorf("%s: out = %.50q; want strings.HasPrefix(out.String(), \"said\\n\")", what, out.String())
		}
		all, err := proc.Find(proc.Marked(entry))
		do(t, err)
		for _, h := range all {
			_ = h.Kill(t.Context())
		}
		proc.Close(all)
	}
	f := &full{}
	c := sh(t, `yes | head -c 1000000`)
	c.Output = f
	if err := runas.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "it is full") || f.n != 1 {
		t.Errorf("%d writes: %v", f.n, err)
	}
}
