package bundle

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/hostler-project/hostler/text/unified"
)

const diffSize = 1 << 20 // larger files are not compared line by line

// diffs finds what would change in each file that is due, if the caller asked for that.
func (a *applier) diffs(ctx context.Context, l *remoteShell) error {
	if !a.opt.Diff {
		return nil
	}
	var ask bytes.Buffer
	var files []*Outcome
	for i := range a.out {
		o := &a.out[i]
		if o.Step.Kind != KindFile || o.Action != Pending {
			continue
		}
		switch {
		case o.Step.Secret:
			o.Diff = o.Step.Name + ": (secrets may be in it, so it is not shown)\n"
		case o.Step.size > diffSize:
			o.Diff = o.Step.Name + ": (too large to be compared)\n"
		default:
			fmt.Fprintf(&ask, "%s\n", o.Step.Name)
			files = append(files, o)
		}
	}
	if len(files) == 0 {
		return nil
	}
	read, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { // ends with the command; the pipe is read to its end, or closed
		err := l.call(ctx, "read what is there", newToken(), showScript, &ask, out)
		_ = out.CloseWithError(io.EOF)
		ended <- err
	}()
	in := bufio.NewReader(read)
	for _, o := range files {
		var size int64
		line, err := in.ReadString('\n')
		if _, e := fmt.Sscan(line, &size); err != nil || e != nil {
			break
		}
		var was []byte
		if size > 0 {
			if was, err = io.ReadAll(io.LimitReader(in, min(size, diffSize+1))); err == nil {
				_, err = io.CopyN(io.Discard, in, size-int64(len(was)))
			}
		}
		if err != nil {
			break
		}
		o.Diff, err = a.diff(o.Step, was, size)
		if err != nil {
			_ = read.Close()
			<-ended
			return err
		}
	}
	_, _ = io.Copy(io.Discard, in)
	return <-ended
}

// diff compares the file's old content with the step's, and masks secrets. A size below 0 says
// that there was no file.
func (a *applier) diff(st *Step, was []byte, size int64) (string, error) {
	r, err := st.Open()
	if err != nil {
		return "", fmt.Errorf("%s: %w", st.Title(), err)
	}
	defer r.Close()
	is, err := io.ReadAll(io.LimitReader(r, diffSize+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", st.Title(), err)
	}
	if size > diffSize || bytes.IndexByte(was, 0) >= 0 || bytes.IndexByte(is, 0) >= 0 || !utf8.Valid(was) || !utf8.Valid(is) {
		return fmt.Sprintf("%s: (binary, %d bytes to %d)\n", st.Name, max(size, 0), len(is)), nil
	}
	if size < 0 {
		return "--- /dev/null\n+++ " + st.Name + "\n" + a.plan.Mask(unified.Diff("", string(is))), nil
	}
	return "--- " + st.Name + "\n+++ " + st.Name + "\n" + a.plan.Mask(unified.Diff(string(was), string(is))), nil
}
