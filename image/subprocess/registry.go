package subprocess

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/text/visible"
)

// Registry is an image.Registry in processes of another program.
type Registry struct {
	// Command returns a command of that program, which runs Serve for the argument Word.
	Command func(ctx context.Context, args ...string) (*exec.Cmd, error)
}

// Read reads the name of a registry's image.
func (r Registry) Read(name string, insecure []string) (image.Name, error) {
	a, err := r.ask(context.Background(), request{Call: read, Name: name, Insecure: insecure})
	return a.Name, err
}

// Login returns what the user's configuration of docker or podman has for a registry.
func (r Registry) Login(ctx context.Context, name string) (string, error) {
	a, err := r.ask(ctx, request{Call: login, Name: name})
	return a.Login, err
}

// Fetch brings an image of a registry into a store. It reports no progress. It refuses what a guard
// has to watch, as a guard cannot be handed to another process.
func (r Registry) Fetch(ctx context.Context, s *image.Store, ref image.Reference, opt image.PullOptions) (image.Image, error) {
	o := s.Options()
	if o.Guard != nil || o.Others.Named(ctx, ref.Asked) {
		return image.Image{}, &compute.Error{
			Op: "image.Pull", ID: compute.ID(ref.Name), Kind: compute.ErrDenied,
			Err: errors.New("an image that a guard has to watch is not fetched by another process"),
		}
	}
	a, err := r.ask(ctx, request{Call: fetch, Name: ref.Asked, Dir: s.Dir(), Options: o, Pull: opt})
	return a.Image, err
}

// patience is how long the process may clean up when it is to end.
const patience = 2 * time.Second

// ask has a process answer.
func (r Registry) ask(ctx context.Context, q request) (answer, error) {
	cmd, err := r.Command(ctx, Word)
	if err != nil {
		return answer{}, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return answer{}, failed(err)
	}
	defer in.Close()
	var out bytes.Buffer
	said := visible.NewWriter(os.Stderr) // also what a registry has it say
	defer said.Close()
	cmd.Stdout, cmd.Stderr = &out, said
	cmd.Cancel, cmd.WaitDelay = in.Close, patience
	if err := cmd.Start(); err != nil {
		return answer{}, failed(err)
	}
	asked := json.NewEncoder(in).Encode(q) // in stays open: its end ends the process
	err = cmd.Wait()
	if ctx.Err() != nil {
		return answer{}, ctx.Err()
	}
	var a answer
	if err := errors.Join(err, asked); err != nil {
		return answer{}, failed(err)
	}
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return answer{}, failed(err)
	}
	return a, a.Err.err()
}

func failed(err error) error {
	return &compute.Error{Op: "image.Registry", Kind: compute.ErrUnavailable, Err: fmt.Errorf("the process that knows registries: %w", err)}
}
