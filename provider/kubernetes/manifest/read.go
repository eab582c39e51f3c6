// Package manifest reads and writes the manifests of pods: template files, the values of keys,
// names, and the Pod Security standards. It calls no cluster.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hostler-project/hostler/provider"
)

// Home is a directory that every pod gets. It is for the guest program, and with security = strict
// for the user.
const Home = "/hostler"

// FullPath returns the path of a file that a source names. It does not depend on the caller's
// directory.
func FullPath(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, rest)
	}
	// controllers, keepers and users have different directories
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is no absolute path", path)
	}
	return path, nil
}

// Read reads the file with the base of the pods. An empty path is an empty pod.
func Read(path string) (map[string]any, error) {
	if path == "" {
		return map[string]any{}, nil
	}
	fail := func(err error) (map[string]any, error) {
		return nil, provider.WrongKey(
			"template", "it is one pod, or a PodTemplate, as `kubectl create --dry-run=client -o yaml` writes it",
			"template: %w", err,
		)
	}
	path, err := FullPath(path)
	if err != nil {
		return fail(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	text, err = yaml.YAMLToJSONStrict(text)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	var head struct {
		Kind     string
		Template json.RawMessage
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	switch head.Kind {
	case "Pod", "":
	case "PodTemplate":
		text = head.Template
	default:
		return fail(fmt.Errorf("%s: it is a %s", path, head.Kind))
	}
	var out unstructured.Unstructured
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return fail(fmt.Errorf("%s: no pod", path))
	}
	// the decoder wants these; it keeps whole numbers whole
	object["apiVersion"], object["kind"] = "v1", "Pod"
	if text, err = json.Marshal(object); err == nil {
		err = out.UnmarshalJSON(text)
	}
	if err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	spec, ok := out.Object["spec"].(map[string]any)
	if _, named := out.Object["metadata"]; !ok && (out.Object["spec"] != nil || head.Kind == "" && !named) {
		return fail(fmt.Errorf("%s: no pod: spec is to be what a pod has there", path))
	}
	if list, isList := spec["containers"].([]any); ok && spec["containers"] != nil &&
		(!isList || slices.ContainsFunc(list, func(c any) bool { _, is := c.(map[string]any); return !is })) {
		return fail(fmt.Errorf("%s: spec.containers is no list of containers", path))
	}
	return out.Object, nil
}

// Digest returns a digest of a pod.
func Digest(pod map[string]any) (string, error) {
	text, err := json.Marshal(pod) // sorted by key
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// Word turns a text into at most n letters, digits and hyphens that begin with a letter.
func Word(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	if text == "" || text[0] < 'a' {
		text = "h" + text
	}
	return text[:min(len(text), n)]
}

// Child returns the object at a key. It makes one if there is none.
func Child(of map[string]any, key string) map[string]any {
	c, ok := of[key].(map[string]any)
	if !ok {
		c = map[string]any{}
		of[key] = c
	}
	return c
}

// Append appends items to the list at a key.
func Append(of map[string]any, key string, items ...any) {
	if len(items) > 0 {
		list, _ := of[key].([]any)
		of[key] = append(slices.Clone(list), items...)
	}
}

// Default sets a value that the template does not set.
func Default(of map[string]any, key string, value any) {
	if _, there := of[key]; !there {
		of[key] = value
	}
}

// Set adds texts to an object.
func Set(of map[string]any, values map[string]string) {
	for k, v := range values {
		of[k] = v
	}
}
