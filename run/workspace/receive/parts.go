package receive

import (
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// partly is the size from which on it is worth while to look which chunks of a file are there.
const partly = 1 << 20

// basis is a file that was there before, and may be much the same as what is to come.
type basis struct {
	file   *os.File
	chunks []workspace.Chunk
	at     []int64 // where they begin
	size   int64   // of what is to come
}

// askParts asks for those contents of which an earlier form is in the same place, by its chunks,
// and takes them out of need. What came of it is seen afterwards: where the file is changed
// meanwhile, it does not do.
func (v *session) askParts(p *plan, need map[workspace.Sum]int64) (asked map[workspace.Sum]*basis, err error) {
	asked = make(map[workspace.Sum]*basis)
	if !v.ask.Parts {
		return asked, nil
	}
	d := dirs{top: v.tree}
	defer d.close()
	for _, i := range p.writes {
		e := &p.want[i]
		if _, ok := need[e.Sum]; !ok || e.Size <= partly {
			continue
		}
		rec := v.have.find(e.Path)
		if rec == nil || rec.Kind != scan.File || rec.Size <= partly {
			continue
		}
		b, err := cutFile(&d, e.Path)
		if err != nil || len(b.chunks) == 0 {
			b.close()
			continue // then all of it is sent
		}
		b.size = e.Size
		asked[e.Sum] = b
		delete(need, e.Sum)
		if err := v.w.WantParts(e.Sum, b.chunks); err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// cutFile opens a file of the workspace and cuts it.
func cutFile(d *dirs, path string) (*basis, error) {
	fd, base, err := d.parent(path)
	if err != nil {
		return nil, err
	}
	b := &basis{}
	if b.file, err = openFile(fd, base); err != nil {
		return nil, err
	}
	var at int64
	err = workspace.Cut(b.file, func(p []byte) error {
		b.chunks, b.at = append(b.chunks, workspace.ChunkOf(p)), append(b.at, at)
		at += int64(len(p))
		if len(b.chunks) > mostChunks {
			return errors.New("too large to be looked at")
		}
		return nil
	})
	return b, err
}

// mostChunks is of how many chunks of a file it is said that they are there.
const mostChunks = 1 << 18

func (b *basis) close() {
	if b != nil && b.file != nil {
		_ = b.file.Close()
	}
}

// receiveParts puts contents together. What they come to that are not what they are said to be is
// thrown away, and asked for as a whole.
func (v *session) receiveParts() error {
	sum, size, err := v.r.Content()
	if err != nil {
		return err
	}
	b := v.got.basis[sum]
	if b == nil {
		return fault(compute.ErrInvalid, "parts of contents that were not asked for")
	}
	r := &joined{r: v.r, basis: b, left: size}
	err = v.got.store(sum, size, r)
	if errors.Is(err, errSum) && r.left == 0 {
		return nil
	}
	return err
}

// joined reads contents of which parts are in another file.
type joined struct {
	r     *workspace.Reader
	basis *basis
	left  int64 // bytes of all
	words int   // bytes of a literal that is being read
	at    int64 // where in the file, of a chunk that is being read
	old   int   // bytes of it
}

func (j *joined) Read(p []byte) (int, error) {
	for j.words == 0 && j.old == 0 {
		if j.left == 0 {
			return 0, io.EOF
		}
		i, size, err := j.r.Part(len(j.basis.chunks))
		if err != nil {
			return 0, unexpected(err)
		}
		if i >= 0 {
			size, j.old, j.at = j.basis.chunks[i].Size, j.basis.chunks[i].Size, j.basis.at[i]
		} else {
			j.words = size
		}
		if int64(size) > j.left || size == 0 {
			return 0, fault(compute.ErrInvalid, "parts that are more than the whole")
		}
		j.left -= int64(size)
	}
	if j.words > 0 {
		n, err := j.r.Read(p[:min(len(p), j.words)])
		j.words -= n
		return n, unexpected(err)
	}
	p = p[:min(len(p), j.old)]
	n, err := j.basis.file.ReadAt(p, j.at)
	if n < len(p) && err != nil {
		// it has been changed since: the hash tells, and the stream goes on where it should
		clear(p[n:])
	}
	j.old -= len(p)
	j.at += int64(len(p))
	return len(p), nil
}
