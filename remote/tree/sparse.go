package tree

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// part is a piece of a file that holds data; between the parts are holes.
type part struct{ off, n int64 }

// mostParts bounds the map of a sparse file: archive/tar reads maps of at most 1 MiB. The rest of a
// file with more is sent as data.
const mostParts = 16 << 10

// dataOf returns where a file has data, or nil when it has no holes worth the trouble or they
// cannot be known.
func dataOf(f *os.File, fi fs.FileInfo) []part {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Blocks*512 >= fi.Size() || seekData == 0 {
		return nil
	}
	parts := []part{}
	size := fi.Size()
	for at := int64(0); at < size; {
		start, err := f.Seek(at, seekData)
		if err != nil {
			if Cause(err) == syscall.ENXIO {
				break // only a hole is left
			}
			return rewind(f)
		}
		end, err := f.Seek(start, seekHole)
		if err != nil {
			return rewind(f)
		}
		if end = min(end, size); start >= end {
			break
		}
		if len(parts) == mostParts-1 {
			end = size
		}
		parts = append(parts, part{start, end - start})
		at = end
	}
	if len(parts) == 1 && parts[0] == (part{0, size}) {
		return rewind(f)
	}
	return parts
}

func rewind(f *os.File) []part {
	_, _ = f.Seek(0, io.SeekStart)
	return nil
}

// addSparse writes a file with holes in GNU's format 1.0, which GNU tar and archive/tar read;
// archive/tar does not write it. The names of that format's fields are documented in GNU tar's
// manual.
func (p *packer) addSparse(f *os.File, h *tar.Header, parts []part) error {
	if err := p.tw.Flush(); err != nil {
		return err
	}
	var m strings.Builder
	stored := int64(0)
	if n := len(parts); n == 0 || parts[n-1].off+parts[n-1].n < h.Size {
		parts = append(parts, part{h.Size, 0})
	}
	fmt.Fprintf(&m, "%d\n", len(parts))
	for _, d := range parts {
		fmt.Fprintf(&m, "%d\n%d\n", d.off, d.n)
		stored += d.n
	}
	table := padded([]byte(m.String()))
	stored += int64(len(table))
	records := map[string]string{
		"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": h.Name, "GNU.sparse.realsize": strconv.FormatInt(h.Size, 10),
		"mtime": paxTime(h.ModTime), "size": strconv.FormatInt(stored, 10), "uid": strconv.Itoa(h.Uid), "gid": strconv.Itoa(h.Gid),
	}
	var x bytes.Buffer
	for _, k := range slices.Sorted(mapsKeys(records)) {
		x.WriteString(paxRecord(k, records[k]))
	}
	for _, b := range [][]byte{
		rawHeader("PaxHeaders.0/sparse", 'x', 0o644, int64(x.Len())), padded(x.Bytes()),
		rawHeader("GNUSparseFile.0/sparse", '0', h.Mode, stored), table,
	} {
		if _, err := p.w.Write(b); err != nil {
			return err
		}
	}
	for _, d := range parts {
		if _, err := f.Seek(d.off, io.SeekStart); err != nil {
			p.fail(h.Name, err)
		}
		if err := p.copyPart(p.w, f, h.Name, d.n); err != nil {
			return err
		}
	}
	_, err := p.w.Write(make([]byte, -stored&511))
	return err
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// paxRecord returns "LENGTH KEY=VALUE\n", where the length counts itself.
func paxRecord(k, v string) string {
	n := len(k) + len(v) + 3
	size := n + len(strconv.Itoa(n))
	if len(strconv.Itoa(size)) != len(strconv.Itoa(n)) {
		size++
	}
	return strconv.Itoa(size) + " " + k + "=" + v + "\n"
}

func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&511)...) }

// rawHeader returns a ustar header block. Sizes that do not fit stand in the extended header before
// it.
func rawHeader(name string, typeflag byte, mode, size int64) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00", mode&0o7777, 0, 0))
	if size >= 1<<33 {
		size = 0
	}
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00        ", size, 0))
	b[156] = typeflag
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// chunk is the grain of holes: a run of zeros that fills one is not written.
const chunk = 32 << 10

var zeros [chunk]byte

// writeHoles copies size bytes from r to the new file f and leaves holes where they are zero.
func writeHoles(f *os.File, r io.Reader, size int64) error {
	buf := make([]byte, chunk)
	skipped := false
	for at := int64(0); at < size; {
		b := buf[:min(size-at, chunk)]
		if _, err := io.ReadFull(r, b); err != nil {
			return &ReadError{Err: err}
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			skipped = true
		} else {
			if skipped {
				if _, err := f.Seek(at, io.SeekStart); err != nil {
					return err
				}
				skipped = false
			}
			if _, err := f.Write(b); err != nil {
				return err
			}
		}
		at += int64(len(b))
	}
	if skipped {
		return f.Truncate(size)
	}
	return nil
}

// ReadError is a stream that broke, which no later entry can mend.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return e.Err.Error() }
func (e *ReadError) Unwrap() error { return e.Err }
