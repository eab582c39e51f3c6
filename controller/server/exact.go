package server

import (
	"maps"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hostler-project/hostler/text/exactjson"
)

// exactFormats returns huma's formats for bodies, with strict decoding of JSON.
func exactFormats() map[string]huma.Format {
	out := maps.Clone(huma.DefaultFormats)
	for name, f := range out {
		f.Unmarshal = exactjson.Unmarshal
		out[name] = f
	}
	return out
}
