package receive

import (
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// partly is the size from which it pays to compare the chunks of a file.
const partly = 1 << 20

// basis is an earlier file that may share chunks with the wanted contents.
type basis struct {
	file   *os.File
	chunks []workspace.Chunk
	at     []int64 // the beginnings of its chunks
	size   int64   // of the wanted contents
}

// askParts asks for contents by the chunks of the earlier file of the same path, and removes them
// from need. If that file changes meanwhile, the contents have to be asked for again as a whole.
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
			continue // the other side sends all of it
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

// cutFile opens a file of the workspace and cuts it into chunks.
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

// mostChunks bounds the chunks of a file that are announced.
const mostChunks = 1 << 18

func (b *basis) close() {
	if b != nil && b.file != nil {
		_ = b.file.Close()
	}
}

// receiveParts assembles contents from parts. If their hash is wrong, it discards them, and fetch
// asks for the whole.
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

// joined reads contents whose parts are partly in another file.
type joined struct {
	r     *workspace.Reader
	basis *basis
	left  int64 // bytes of the contents
	words int   // bytes of a literal that is being read
	at    int64 // the place in the file of the chunk that is being read
	old   int   // bytes of that chunk
}

// Read gives the new content: new bytes from the message and known chunks from the basis.
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
		// the file has changed: the hash will tell, and the stream stays aligned
		clear(p[n:])
	}
	j.old -= len(p)
	j.at += int64(len(p))
	return len(p), nil
}
