package term

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/hostler-project/hostler/text/visible"
)

// ErrorDocument is an error as --json prints it, on standard error.
type ErrorDocument struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
	Hint  string `json:"hint,omitempty"`
}

// PrintJSON prints one document, indented.
func (t *Terminal) PrintJSON(v any) error {
	return writeJSON(t.Out, v, "  ")
}

// PrintLine prints one document of a stream, on one line.
func (t *Terminal) PrintLine(v any) error {
	return writeJSON(t.Out, v, "")
}

// writeJSON writes a document. No text in it can control a terminal.
func writeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(visible.JSON(b.Bytes()))
	return err
}
