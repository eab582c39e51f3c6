package kubernetes_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// TestTemplateEdited has instances say what they were made like, in List too and to who opens the
// source anew, and the source what they would be made like now.
func TestTemplateEdited(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox", "claim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind, o.Image, o.Template = kind, "", filepath.Join(t.TempDir(), "pod.yaml")
			write := func(image string) {
				save(t, o.Template, "kind: Pod\nspec: {containers: [{name: main, image: \""+image+"\"}]}\n", 0o600)
			}
			write("debian:12")
			p := open(t, o)
			now := func() string {
				t.Helper()
				sum, err := p.Template()
				if err != nil || sum == "" {
					t.Fatalf("Template: %q %v", sum, err)
				}
				return sum
			}
			first := now()
			one, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if err != nil || one.Facts[provider.FactTemplate] != first {
				t.Errorf("of %s was made %v: %v", first, one.Facts, err)
			}
			write("debian:13") // of as many bytes
			second := now()
			two, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"})
			if err != nil || second == first || two.Facts[provider.FactTemplate] != second {
				t.Errorf("of %s, after %s, was made %v: %v", second, first, two.Facts, err)
			}
			_ = p.Close()
			p = open(t, o)
			list, err := p.List(t.Context())
			if err != nil || len(list) != 2 || list[0].Facts[provider.FactTemplate] != first ||
				list[1].Facts[provider.FactTemplate] != second || now() != second {
				t.Errorf("listed are %v: %v", list, err)
			}
			if err := os.Chtimes(o.Template, time.Time{}, time.Now().Add(time.Hour)); err != nil || now() != second {
				t.Errorf("of a file that says the same is made %s, after %s: %v", now(), second, err)
			}
			save(t, o.Template, "kind: [", 0o600)
			if sum, err := p.Template(); err == nil {
				t.Errorf("of a broken file is made %q", sum)
			}
		})
	}
}
