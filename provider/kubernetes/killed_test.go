package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// TestKilledAtEachStep ends an instance's life before each of its steps in turn, as a kill does, and has another process, which knows the instance's name alone,
// go on: it gets the instance made, entered and away, and nothing stays but the policy.
func TestKilledAtEachStep(t *testing.T) {
	killed := errors.New("killed")
	for _, kind := range []string{"pod", "sandbox", "claim", "own"} {
		t.Run(kind, func(t *testing.T) {
			o := site(t)
			o.Kind = kind
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				warm(t, o.Namespace, 1)
			}
			steps := "policy create created delete"
			if kind == "own" { // a warm pool of the source's own
				o.Kind, steps = "claim", "policy template pool create created delete"
			}
			var seen []string
			for at := 1; ; at++ {
				id := compute.ID(fmt.Sprintf("suite-%d", at))
				n, last := 0, ""
				first := open(t, o)
				if kind == "own" {
					if err := first.Reserve(t.Context(), 0); err != nil {
						t.Fatal(err)
					}
				}
				first.Step(func(step string) error {
					if n++; n == at {
						last = step
						return killed
					}
					if n > at { // it is dead
						return killed
					}
					return nil
				})
				life := func() error {
					if _, err := first.Create(t.Context(), compute.Spec{ID: id}); err != nil {
						return err
					}
					for {
						conn, err := first.Connect(t.Context(), id)
						if err == nil {
							_ = conn.Close()
							break
						}
						if !errors.Is(err, compute.ErrNotReady) {
							return err
						}
					}
					return first.Destroy(t.Context(), id)
				}
				err := life()
				if last == "" {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if !errors.Is(err, killed) {
					t.Fatalf("killed at %s: %v", last, err)
				}
				seen = append(seen, last)
				second := open(t, o)
				if _, err := second.Create(t.Context(), compute.Spec{ID: id}); err != nil {
					t.Fatalf("killed at %s, and Create: %v", last, err)
				}
				_ = enter(t, second, id).Close()
				gone(t, second, id)
			}
			// The lab's pods share this machine's files: our program is delivered once.
			if got := strings.Replace(strings.Join(seen, " "), " deliver", "", 1); got != steps {
				t.Errorf("the steps were %s", got)
			}
			if kind == "own" {
				if err := open(t, o).Reserve(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "nothing is left", func() error {
				if left := lab.Ctl(t, "", "get", "pods,sandboxes,sandboxclaims,sandboxwarmpools,sandboxtemplates", "-n", o.Namespace, "-l", "hostler-project.github.io/installation=test", "-o", "name"); left != "" {
					return errors.New(left)
				}
				return nil
			})
		})
	}
}

// gone destroys an instance until it is proved gone.
func gone(t *testing.T, p interface {
	Destroy(context.Context, compute.ID) error
}, id compute.ID) {
	t.Helper()
	eventually(t, "it is gone", func() error {
		if err := p.Destroy(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			return fmt.Errorf("Destroy: %w", err)
		}
		return nil
	})
}
