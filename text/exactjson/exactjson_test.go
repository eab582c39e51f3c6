package exactjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/text/exactjson"
)

type inner struct {
	Labels map[string]string `json:"labels"`
	Image  string            `json:"image,omitempty"`
}

type request struct {
	inner
	Count *int             `json:"count"`
	Deep  []inner          `json:"deep"`
	By    map[string]inner `json:"by"`
	Raw   json.RawMessage  `json:"raw"`
	At    time.Time        `json:"at"`
	Any   any              `json:"any"`
	Key   string           `json:"key"`
}

func TestUnmarshal(t *testing.T) {
	for text, wrong := range map[string]string{
		`{"image":"a","count":1,"labels":{"A":"1","a":"2"}}`:   "",
		`{"any":{"x":1,"X":2},"raw":{"x":1,"X":2},"other":1}`:  "",
		`{"at":"2024-01-02T03:04:05Z","deep":[{"image":"a"}]}`: "",
		`{"IMAGE":"a"}`:                  `the key "IMAGE" is written "image"`,
		`{"image":"a","Image":"b"}`:      `the key "Image" is written "image"`,
		`{"image":"a","image":"b"}`:      `the key "image" is there twice`,
		`{"\u0069mage":"a","image":"b"}`: `there twice`,
		`{"deep":[{},{"imagE":"a"}]}`:    `is written "image"`,
		`{"by":{"x":{"Labels":{}}}}`:     `is written "labels"`,
		`{"labels":{"a":"1","a":"2"}}`:   `there twice`,
		`{"raw":{"a":[{"x":1,"x":2}]}}`:  `there twice`,
		`{"any":{"x":1,"x":2}}`:          `there twice`,
		// the sign of Kelvin, which encoding/json takes for a k
		"{\"\u212aey\":\"a\"}":       `is written "key"`,
		`{"image":`:                  "unexpected end",
		`{"image":"a"} {}`:           "after top-level value",
		strings.Repeat("[", 100_000): "exceeded max depth",
	} {
		var r request
		err := exactjson.Unmarshal([]byte(text), &r)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%.60s: %v, want %q", text, err, wrong)
		}
	}
}
