package scan_test

import (
	"encoding/binary"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// careless writes a list in the form of the package comment, and checks nothing.
func careless(entries []scan.Entry) []byte {
	b := []byte("hostler tree 1\n")
	before := ""
	for _, e := range entries {
		shared := 0
		for shared < min(len(before), len(e.Path)) && before[shared] == e.Path[shared] {
			shared++
		}
		b = append(b, byte(e.Kind))
		b = binary.AppendUvarint(b, uint64(shared))
		b = binary.AppendUvarint(b, uint64(len(e.Path)-shared))
		b = append(b, e.Path[shared:]...)
		switch e.Kind {
		case scan.Link:
			b = binary.AppendUvarint(b, uint64(len(e.Target)))
			b = append(b, e.Target...)
		case scan.Dir:
			b = binary.AppendUvarint(b, uint64(e.Mode))
		default:
			b = binary.AppendUvarint(b, uint64(e.Mode))
			b = binary.AppendUvarint(b, uint64(e.Size))
			b = binary.AppendVarint(b, e.ModTime)
			b = append(b, e.Sum[:]...)
		}
		before = e.Path
	}
	return append(b, 0)
}
