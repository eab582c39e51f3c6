package kubernetes

import (
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestAuthority: where nobody may ask for the namespace, a place is the same one if it has the
// address of before and is known by one of the certificates of before, at least.
func TestAuthority(t *testing.T) {
	cert := func(names ...string) (out []byte) {
		for _, n := range names {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(n)})...)
		}
		return out
	}
	at := func(host, namespace string, ca []byte) kubeconfig.Place {
		c := &rest.Config{Host: host}
		c.CAData = ca
		return kubeconfig.PlaceOf(c, namespace)
	}
	before := at("https://a", "ns", cert("old"))
	legacy := before
	legacy.Authority, _, _ = strings.Cut(before.Authority, ",") // as it was recorded once
	for _, c := range []struct {
		name string
		was  kubeconfig.Place
		now  kubeconfig.Place
		same bool
	}{
		{"the same", before, at("https://a", "ns", cert("old")), true},
		{"another of the same authority", before, at("https://b", "ns", cert("old")), false},
		{"both", before, at("https://a", "ns", cert("old", "new")), true},
		{"another with one authority in common", before, at("https://b", "ns", cert("new", "old")), false},
		{"made while both were known", at("https://a", "ns", cert("old", "new")), at("https://a", "ns", cert("new")), true},
		{"another", before, at("https://a", "ns", cert("new")), false},
		{"another namespace", before, at("https://a", "other", cert("old", "new")), false},
		{"public", at("https://a", "ns", nil), at("https://b", "ns", nil), false},
		{"recorded long ago", legacy, at("https://a", "ns", cert("old")), true},
		{"no certificates", at("https://a", "ns", []byte("x")), at("https://a", "ns", []byte("y")), false},
	} {
		p := opened(t, Options{Image: "x"})
		p.c.client, p.c.uid = &kubeconfig.Client{Place: c.now}, kubeconfig.Unknown
		text := identity{Place: c.was, uid: kubeconfig.Unknown}.String()
		was, err := readIdentity(text)
		if err != nil || was.Place != c.was {
			t.Errorf("%s: %q is read as %+v: %v", c.name, text, was, err)
		}
		if err := p.leads(t.Context(), was); (err == nil) != c.same {
			t.Errorf("%s: err = %v; want (err == nil) == c.same", c.name, err)
		}
	}
	if many := at(
		"https://a", "ns",
		cert("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"),
	); !many.Related(at("https://a", "ns", cert("3"))) || slices.Contains([]string{"", kubeconfig.Unknown}, many.Authority) {
		t.Errorf("of many certificates: %+v", many)
	}
}
