package fake_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/guard"
)

func open(t *testing.T, o fake.Options) *fake.Provider {
	t.Helper()
	p, err := fake.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func bare(p compute.Provider) compute.Provider { return p }

func guarded(p compute.Provider) compute.Provider {
	return guard.New(p, guard.Options{Creates: 4, Timeout: map[string]time.Duration{"": time.Minute}, Retries: 1})
}

func TestProvider(t *testing.T) {
	for name, wrap := range map[string]func(compute.Provider) compute.Provider{"bare": bare, "guarded": guarded} {
		for _, state := range []string{"memory", "disk"} {
			t.Run(name+" "+state, func(t *testing.T) {
				with := func(place string, change func(*fake.Options)) func(*testing.T) compute.Provider {
					dir, cloud := t.TempDir(), fake.NewCloud()
					return func(t *testing.T) compute.Provider {
						o := fake.Options{
							Source: "suite", Installation: "mine", State: state, Dir: dir, Cloud: cloud,
							DestroyTime: 3 * time.Millisecond,
						}
						if change != nil {
							change(&o)
						}
						return wrap(open(t, o))
					}
				}
				dir, cloud := t.TempDir(), fake.NewCloud()
				mine := func(installation string) func(t *testing.T) compute.Provider {
					return func(t *testing.T) compute.Provider {
						return wrap(open(
							t,
							fake.Options{Source: "suite", Installation: installation, State: state, Dir: dir, Cloud: cloud},
						))
					}
				}
				computetest.Provider(t, computetest.ProviderOptions{
					New: mine("mine"), Foreign: mine("theirs"), Reply: "foo\n",
					Slow: with("slow", func(o *fake.Options) { o.Boot, o.CreateTime = 300*time.Millisecond, 10*time.Millisecond }),
					Full: with("full", func(o *fake.Options) { o.Capacity = 1 }),
					Leak: cloud.IDs,
				})
			})
		}
	}
}

func TestProviderThatRuns(t *testing.T) {
	cloud := fake.NewCloud()
	computetest.Provider(t, computetest.ProviderOptions{
		New: func(t *testing.T) compute.Provider {
			return asIs{open(t, fake.Options{Source: "suite", Exec: "exec", Cloud: cloud, Installation: "mine"})}
		},
		Leak: cloud.IDs,
	})
}

// asIs hides that the fake is a Cleaner: what its commands really do on this machine is not undone.
type asIs struct{ compute.Provider }
