// Package initrd writes a machine's first files: those of an image's own initrd, and the agent.
package initrd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/provider/vm/guest"
)

// WriteInitrd writes an initrd with the agent behind it: the kernel unpacks one archive after the
// other.
func WriteInitrd(path, initrd, program string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := os.Open(initrd)
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := io.Copy(out, in)
	if err != nil {
		return err
	}
	w := &archive{w: bufio.NewWriterSize(out, 1<<20)}
	w.pad(n)
	agent, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	const dir, exe = 0o040755, 0o100755
	w.entry(strings.TrimPrefix(guest.Dir, "/"), dir, nil)
	w.entry(strings.TrimPrefix(guest.Places, "/"), dir, nil)
	w.entry(strings.TrimPrefix(guest.Program, "/"), exe, agent)
	// The kernel gives its first process no arguments of ours: a script does, of one word.
	w.entry(strings.TrimPrefix(guest.First, "/"), exe, []byte("#!"+guest.Program+" "+guest.BootWord+"\n"))
	w.entry("TRAILER!!!", 0, nil)
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err == nil {
		w.err = out.Sync()
	}
	return w.err
}

// archive writes the format that initrds have, "newc" of cpio.
type archive struct {
	w   *bufio.Writer
	ino int
	err error
}

// entry adds a file: a header of 13 fields in hexadecimal, the name and the content, each
// padded. After an error it does nothing.
func (a *archive) entry(name string, mode int, data []byte) {
	if a.err != nil {
		return
	}
	a.ino++
	head := "070701"
	for _, n := range []int{a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0} {
		head += fmt.Sprintf("%08X", n)
	}
	head += name + "\x00"
	_, a.err = a.w.WriteString(head)
	a.pad(int64(len(head)))
	if a.err == nil {
		_, a.err = a.w.Write(data)
	}
	a.pad(int64(len(data)))
}

// pad fills up to the next multiple of four.
func (a *archive) pad(n int64) {
	if a.err == nil {
		_, a.err = a.w.Write(make([]byte, (4-n%4)%4))
	}
}

// Atomically makes a file by write, completely or not at all: write gets a temporary name.
func Atomically(path string, write func(name string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_ = f.Close()
	if err = write(f.Name()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
