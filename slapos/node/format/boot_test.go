package format_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/node/format"
)

// Each step is tried until it succeeds, in the order of the boot, and a master that cannot be told
// is waited for.
func TestBoot(t *testing.T) {
	var did []string
	answers := map[string][]error{"format": {errors.New("no disk"), format.ErrNotPosted, nil}, "bang": {errors.New("master down"), nil}}
	next := func(what string) error {
		did = append(did, what)
		err := answers[what][0]
		answers[what] = answers[what][1:]
		return err
	}
	ready, reached := 0, 0
	b := &format.Boot{
		Ready:   func(context.Context) (bool, error) { did = append(did, "ready"); ready++; return ready == 3, nil },
		Format:  func(context.Context) error { return next("format") },
		Answers: func(context.Context) bool { did = append(did, "answers"); reached++; return reached == 2 },
		Bang:    func(context.Context) error { return next("bang") },
		Forget:  func(context.Context) error { did = append(did, "forget"); return nil },
		Say:     func(string) {},
	}
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields("ready ready ready format format answers answers format bang bang forget"); !slices.Equal(did, want) {
		t.Errorf("%q, want %q", did, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.Ready = func(context.Context) (bool, error) { cancel(); return false, nil }
	if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is ended: %v", err)
	}
}
