package receive

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// verify marks the records whose files are as the last sync left them. It changes nothing.
func (v *session) verify() error {
	var changed atomic.Bool
	defer func() { v.all = !changed.Load() }()
	return parallel(len(v.have.records), func(lo, hi int) error {
		d := dirs{top: v.tree}
		defer d.close()
		for i := lo; i < hi; i++ {
			if i%256 == 0 && v.ctx.Err() != nil {
				return v.ctx.Err()
			}
			rec := &v.have.records[i]
			if rec.ok = v.matchesRecord(&d, rec); !rec.ok {
				changed.Store(true)
			}
		}
		return nil
	})
}

// few pieces of work are not worth a second goroutine.
const few = 256

// parallel does n pieces of work in a few goroutines, each a stretch in order.
func parallel(n int, do func(lo, hi int) error) error {
	workers := min(runtime.GOMAXPROCS(0), 4, n/few+1)
	if workers <= 1 {
		return do(0, n)
	}
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() { errs[w] = do(n*w/workers, n*(w+1)/workers) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// matchesRecord reports whether a file matches its record. After an interrupted sync it compares
// the contents, else the state that a change would alter.
func (v *session) matchesRecord(d *dirs, rec *record) bool {
	fd, base, err := d.parent(rec.Path)
	if err != nil {
		return false
	}
	l, st, err := lookAt(fd, base)
	if err != nil || kindOf(st) != rec.Kind {
		return false
	}
	switch rec.Kind {
	case scan.Link:
		return readLink(fd, base) == rec.Target
	case scan.Dir:
		return true
	}
	if !v.have.cut {
		return l == rec.look
	}
	if l.Size != rec.Size || l.MTime != rec.ModTime || uint32(st.Mode)&0o777 != rec.Mode {
		return false
	}
	rec.look = l
	return sumAt(fd, base) == rec.Sum
}

func readLink(fd int, base string) string {
	b := make([]byte, scan.MaxPath+1)
	n, err := unix.Readlinkat(fd, base, b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// openFile opens a regular file for reading. The caller closes it.
func openFile(fd int, base string) (*os.File, error) {
	n, err := openAt(fd, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(n, &st); err != nil || kindOf(&st) != scan.File {
		_ = unix.Close(n)
		return nil, errors.Join(err, unix.EINVAL)
	}
	return os.NewFile(uintptr(n), base), nil
}

// sumAt hashes a file. The zero sum means that it cannot be read.
func sumAt(fd int, base string) (sum [32]byte) {
	f, err := openFile(fd, base)
	if err != nil {
		return sum
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum
	}
	h.Sum(sum[:0])
	return sum
}
