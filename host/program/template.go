package program

import (
	"context"
	"encoding/json"
	"io"

	"github.com/hostler-project/hostler/bundle"
)

// TemplateWord is the only argument of the process of Whole that does what GoTemplate says, by
// ServeTemplate.
const TemplateWord = "bundle-template"

// template is one call of a bundle.GoTemplate. Texts are bytes, as JSON has no others than UTF-8.
type template struct {
	Text        []byte
	Vars, Facts map[string][]byte
}

// GoTemplate has Whole expand a template of a bundle's.
func GoTemplate(text string, vars map[string]string, facts bundle.Facts) (string, error) {
	in, err := json.Marshal(template{[]byte(text), changed[[]byte](vars), changed[[]byte](facts)})
	if err != nil {
		return "", err
	}
	out, err := ask(context.Background(), in, TemplateWord)
	return string(out), err
}

// ServeTemplate reads the call from in, and prints what expand makes of it.
func ServeTemplate(in io.Reader, out io.Writer, expand bundle.GoTemplate) error {
	var t template
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return err
	}
	text, err := expand(string(t.Text), changed[string](t.Vars), changed[string](t.Facts))
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// changed returns a map with the values of another in their other form.
func changed[To, From string | []byte](m map[string]From) map[string]To {
	out := make(map[string]To, len(m))
	for k, v := range m {
		out[k] = To(v)
	}
	return out
}
