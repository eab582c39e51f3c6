package client_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// Whatever the document, no more is allocated to read it than a fixed multiple of its size: what is
// sent is what is spent.
func TestMemory(t *testing.T) {
	const size, most = 1 << 17, 150
	fill := func(before, each, after string) string {
		return in(before + strings.Repeat(each, size/len(each)) + after)
	}
	for name, doc := range map[string]string{
		"nulls":        fill("<list>", "<none/>", "</list>"),
		"lists":        fill("<list>", "<list/>", "</list>"),
		"dictionaries": fill("<list>", "<dictionary/>", "</list>"),
		"numbered":     fill("<list>", `<list id="a"/>`, "</list>"),
		"references":   fill(`<list><list id="a"/>`, `<reference id="a"/>`, "</list>"),
		"entries":      fill("<dictionary>", "<string/><none/>", "</dictionary>"),
		"text":         fill("<string>", "x", "</string>"),
		"escapes":      fill("<string>", "&amp;amp;", "</string>"),
		"characters":   fill("<string>", "&#233;", "</string>"),
		"comments":     fill("<string>", "<!---->", "</string>"),
		"attributes":   in("<list" + strings.Repeat(" a='b'", size/6) + "/>"),
		"deep":         fill("", "<list>", ""),
		"not a value":  fill("", "<a>", ""),
		"one tag":      in("<" + strings.Repeat("a", size) + "/>"),
		"digits":       fill("<int>", "9", "</int>"),
		"declarations": strings.Repeat("<!DOCTYPE a>", size/12),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := proto.Unmarshal([]byte(doc))
		runtime.ReadMemStats(&after)
		used := (after.TotalAlloc - before.TotalAlloc) / uint64(len(doc))
		t.Logf("%s: %d times its size, %.100v", name, used, err)
		if used > most {
			t.Errorf("%s: %d bytes were allocated for each of the document", name, used)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// Neither a name of any length nor one that a terminal obeys comes into an error as it is.
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("k", 1<<17)
	bad := proto.Dictionary{long: proto.Dictionary{"a\u202eb": "\x01"}}
	_, first := proto.Marshal(bad)
	_, second := proto.FormatParameters(proto.Dictionary{long: struct{}{}})
	_, third := proto.Marshal(proto.Dictionary{long + "\x01": nil})
	method, _ := jsonapi.FindMethod("slapos.post.v0.software_instance")
	_, fourth := method.Decode(
		[]byte(`{"title": "t", "software_release_uri": "u", "software_type": "t", "parameters": {"` + long + `": {"a\u202eb": "\u0001"}}}`),
	)
	for _, err := range []error{first, second, third, fourth} {
		if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\u202e") {
			t.Errorf("err = %.600v; want an error and len(err.Error()) <= 500 and err.Error() without \"\\u202e\"", err)
		}
	}
}
