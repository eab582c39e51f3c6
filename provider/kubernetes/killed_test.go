package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// TestKilledAtEachStep ends an instance's life before each of its steps in turn, as a kill does,
// and has another process, which knows the instance's name alone, go on: it gets the instance made,
// entered and away, and nothing stays, the policy for a while.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	killed := errors.New("killed")
	for _, kind := range []string{"pod", "sandbox", "claim", "own"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 1)
			}
			steps := "policy create created delete"
			if kind == "claim" { // of another's pool the template says what may be reached
				steps = "create created delete"
			}
			if kind == "own" { // a warm pool of the source's own
				o.Kind, steps = "claim", "policy template pool create created delete"
			}
			var seen []string
			for at := 1; ; at++ {
				id := compute.ID(fmt.Sprintf("suite-%d", at))
				// what is there already is no step
				lab.Ctl(t, "", "delete", "networkpolicies", "--all", "-n", o.Namespace)
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
					if err := entered(t.Context(), first, id); err != nil {
						return err
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
			last, now := open(t, o), time.Now()
			computetest.Eventually(t, "nothing is left", func() error {
				now = now.Add(time.Hour)
				if err := last.WatchHealthAt(t.Context(), now); err != nil {
					return err
				}
				if left := ours(t, o.Namespace, "sandboxwarmpools,sandboxtemplates,networkpolicies"); left != "" {
					return errors.New(left)
				}
				return nil
			})
		})
	}
}

// ours tells what of the tests' installation is in a namespace: instances, their pods, whoever made
// them, and other kinds.
func ours(t *testing.T, namespace, others string) string {
	t.Helper()
	kinds := "pods,sandboxes,sandboxclaims"
	if others != "" {
		kinds += "," + others
	}
	return lab.Ctl(t, "", "get", kinds, "-n", namespace, "-l", "hostler-project.github.io/installation=test", "-o", "name") +
		lab.Ctl(t, "", "get", "pods", "-n", namespace, "-l", "hostler.sandbox.users.io/installation=test", "-o", "name")
}

// gone destroys an instance until it is proved gone.
func gone(t *testing.T, p interface {
	Destroy(context.Context, compute.ID) error
}, id compute.ID) {
	t.Helper()
	computetest.Eventually(t, "it is gone", func() error {
		if err := p.Destroy(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			return fmt.Errorf("Destroy: %w", err)
		}
		return nil
	})
}
