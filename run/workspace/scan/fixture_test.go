package scan_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

var errEnough = errors.New("enough")

// cancelled is a context that has ended, and says why.
func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	return ctx, func() { cancel(nil) }
}

// sealed adds the checksum that what is remembered ends with.
func sealed(data []byte) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{}, data...), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}
