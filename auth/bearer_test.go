package auth_test

import (
	"net/http/httptest"
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// TestBearer: the scheme is found in any case, and a header without a token has none.
func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer hst_x": "hst_x", "bearer hst_x": "hst_x", "BEARER a b": "a b",
		"": "", "Bearer": "", "Bearer ": "", "Basic hst_x": "", "Bearerhst_x": "", "hst_x": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got, ok := auth.Bearer(r); got != want || ok != (want != "") {
			t.Errorf("%q: got the token %q, %v; want %q", header, got, ok, want)
		}
	}
}
