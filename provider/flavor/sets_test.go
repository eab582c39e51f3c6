package flavor_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/hostler-project/hostler/provider/flavor"
)

func TestParseSets(t *testing.T) {
	for text, want := range map[string][][]string{
		"": nil, " ; ,": nil, "^a": {{"^a"}}, "^a, ^b ;c": {{"^a", "^b"}, {"c"}}, ";;x,": {{"x"}},
	} {
		if got, err := flavor.ParseSets(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := flavor.ParseSets("^a;(b"); !errors.Is(err, flavor.ErrRegex) {
		t.Errorf("a bad expression: %v", err)
	}
}
