package vm

import (
	"bufio"
	"io"

	"github.com/hostler-project/hostler/compute"
)

// ErrKilled ends a call at a step as a kill would.
var ErrKilled = errKilled

// SetStep has f told of each step before it is done.
func (p *Provider) SetStep(f func(step string) error) { p.step = f }

// PID returns the number of an instance's qemu, and its stage.
func (p *Provider) PID(id compute.ID) (int, string) {
	own, _ := p.owner(id)
	return own.PID, string(own.Stage)
}

// Home is an instance's directory.
func (p *Provider) Home(id compute.ID) string { return p.home(id) }

// Overlay writes a layer.
func Overlay(path, base string, size int64) error {
	below, err := inspect(base)
	if err != nil {
		return err
	}
	return overlay(path, base, below, size)
}

// ReadMessage reads a message of QMP.
func ReadMessage(r io.Reader) error {
	_, err := readMessage(bufio.NewReader(r))
	return err
}
