package strategy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
)

// WithWeights is the strategy Proportional with weights from a file that is read anew for each
// decision. While the file cannot be read the last weights count, at first those of Proportional.
// It is safe for concurrent use.
type WithWeights struct {
	Proportional
	File string       // ParseWeights has its form
	Log  *slog.Logger // nil: none

	mu   sync.Mutex
	data []byte // the file's content that the weights are from
	told string // the last error that was logged
}

// now returns the strategy with the present weights.
func (w *WithWeights) now() *Proportional {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.read(); err == nil {
		w.told = ""
	} else if err.Error() != w.told {
		if w.told = err.Error(); w.Log != nil {
			w.Log.Error("the weights of images cannot be read: those of before count", "err", err)
		}
	}
	p := w.Proportional
	return &p
}

// read reads the file and, if it has changed, its weights. The caller holds mu.
func (w *WithWeights) read() error {
	data, err := readWeights(w.File)
	if err != nil {
		return err
	}
	if w.data != nil && bytes.Equal(data, w.data) {
		return nil
	}
	weights, err := ParseWeights(data)
	if err != nil {
		return fmt.Errorf("%s: %w", w.File, err)
	}
	weights.Default = w.Weights.Default
	if w.data != nil && w.Log != nil {
		w.Log.Info("the weights of images have changed", "file", w.File)
	}
	w.Weights, w.data = weights, data
	return nil
}

// mostWeights is how large a file of weights may be, in bytes: some hundred thousand images.
const mostWeights = 16 << 20

// readWeights reads the file and does not block: it refuses a pipe or other special file.
func readWeights(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: it is no file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, mostWeights+1))
	if err == nil && len(data) > mostWeights {
		err = fmt.Errorf("%s: it is larger than %d MiB", name, mostWeights>>20)
	}
	return data, err
}

// Plan decides by the present weights.
func (w *WithWeights) Plan(ctx context.Context, f *metal.Fleet) (metal.Plan, error) {
	return w.now().Plan(ctx, f)
}

// Decide decides by the present weights.
func (w *WithWeights) Decide(f *metal.Fleet) *Decision { return w.now().Decide(f) }

// Check returns an error if a setting is wrong, or the file as it is now.
func (w *WithWeights) Check() error {
	if err := w.Proportional.Check(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.read(); err != nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("image_weights_filename: %w", err)}
	}
	return nil
}
