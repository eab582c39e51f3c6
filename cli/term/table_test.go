package term

import (
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	header := []string{"source", "note"}
	rows := [][]string{{"web", "short"}, {"demo", "a note that goes on for longer than anybody's terminal is wide"}}
	got := fit(header, rows, 40)
	if got[0][1] != "short" || len(got[1][1]) != 32 || got[1][1][29:] != "..." {
		t.Errorf(`got = %q; want got[0][1] == "short" and len(got[1][1]) == 32 and got[1][1][29:] == "..."`, got)
	}
	if rows[1][1][:7] != "a note " || len(rows[1][1]) < 40 {
		t.Error("the rows themselves were changed")
	}
	if got := fit(header, rows, 3); len(got[1][1]) != noteLeast {
		t.Errorf("on a narrow terminal %q", got)
	}
	if got := fit(header, rows, 200); got[1][1] != rows[1][1] {
		t.Errorf("on a wide one %q", got)
	}
}

// TestTableEscapes: what comes from elsewhere drives no terminal, and breaks no line.
func TestTableEscapes(t *testing.T) {
	var out strings.Builder
	if err := Table(&out, []string{"name", "note"}, [][]string{{"a\x1b[2J", "one\ntwo\u202e"}, {"größe", "plain 'words'"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\u202e") || strings.Count(got, "\n") != 4 ||
		!strings.Contains(got, `one\ntwo\u202e`) || !strings.Contains(got, "plain 'words'") {
		t.Errorf(
			"got = %q"+
				"; want !strings.ContainsAny(got, \"\\x1b\\u202e\") and strings.Count(got, \"\\n\") == 4 and got "+
				"with `one\\ntwo\\u202e` and got with \"plain 'words'\"",
			got,
		)
	}
}
