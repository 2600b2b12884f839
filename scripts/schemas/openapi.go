package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// document is what is read of one OpenAPI v3 document.
type document struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct{ Schemas map[string]*schema }
}

// schema is what is read of one schema.
type schema struct {
	Ref                  string `json:"$ref"`
	AllOf                []*schema
	OneOf                []*schema
	Type                 string
	Format               string
	Properties           map[string]*schema
	Required             []string
	Items                *schema
	AdditionalProperties json.RawMessage
	Enum                 []string
	ListType             string            `json:"x-kubernetes-list-type"`
	ListKeys             []string          `json:"x-kubernetes-list-map-keys"`
	MapType              string            `json:"x-kubernetes-map-type"`
	PatchStrategy        string            `json:"x-kubernetes-patch-strategy"`
	MergeKey             string            `json:"x-kubernetes-patch-merge-key"`
	Kinds                []groupKindOfType `json:"x-kubernetes-group-version-kind"`
}

type groupKindOfType struct{ Group, Version, Kind string }

func (one groupKindOfType) apiVersion() string {
	if one.Group == "" {
		return one.Version
	}
	return one.Group + "/" + one.Version
}

// kind is one kind whose objects can be made.
type kind struct {
	apiVersion, name, plural, typeName string
	namespaced, hasStatus              bool
}

// collection is the path of all objects of a kind.
var collection = regexp.MustCompile(`^/(?:api|apis/[^/]+)/[^/]+/(namespaces/\{namespace\}/)?([a-z0-9]+)$`)

// readDocuments gives the kinds and the types, by their short names, of a version.
func readDocuments(kubernetes string) ([]kind, map[string]*schema, error) {
	files, err := filepath.Glob(filepath.Join(kubernetes, "api/openapi-spec/v3/*.json"))
	if err != nil {
		return nil, nil, err
	}
	var kinds []kind
	types := map[string]*schema{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		var read document
		if err := json.Unmarshal(text, &read); err != nil {
			return nil, nil, err
		}
		for name, one := range read.Components.Schemas {
			types[shortName(name)] = one
		}
		found, err := kindsOf(&read)
		if err != nil {
			return nil, nil, err
		}
		kinds = append(kinds, found...)
	}
	return kinds, types, nil
}

func kindsOf(read *document) ([]kind, error) {
	var kinds []kind
	for path, operations := range read.Paths {
		parts := collection.FindStringSubmatch(path)
		if parts == nil || operations["post"] == nil {
			continue
		}
		var post struct {
			Kind groupKindOfType `json:"x-kubernetes-group-version-kind"`
		}
		if err := json.Unmarshal(operations["post"], &post); err != nil {
			return nil, err
		}
		_, hasStatus := read.Paths[path+"/{name}/status"]
		kinds = append(kinds, kind{
			apiVersion: post.Kind.apiVersion(), name: post.Kind.Kind, plural: parts[2],
			typeName: typeOfKind(read, post.Kind), namespaced: parts[1] != "", hasStatus: hasStatus,
		})
	}
	return kinds, nil
}

func typeOfKind(read *document, wanted groupKindOfType) string {
	var names []string
	for name, one := range read.Components.Schemas {
		if len(one.Kinds) == 1 && one.Kinds[0] == wanted {
			names = append(names, shortName(name))
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// shortName of io.k8s.api.core.v1.Container is core.v1.Container: unique among the types of Kubernetes.
func shortName(name string) string {
	parts := strings.Split(name, ".")
	return strings.Join(parts[max(0, len(parts)-3):], ".")
}

// wellKnown are types that are written as something else than an object.
var wellKnown = map[string]string{
	"api.resource.Quantity":    "q",
	"meta.v1.Time":             "t",
	"meta.v1.MicroTime":        "m",
	"util.intstr.IntOrString":  "x",
	"pkg.runtime.RawExtension": "o",
	"meta.v1.FieldsV1":         "o",
}

// typeOf is the type of a value in the table's notation, and the type that it refers to; see README.md.
func typeOf(one *schema) (string, string) {
	if one == nil {
		return "*", ""
	}
	if one.Ref != "" {
		name := shortName(one.Ref[strings.LastIndex(one.Ref, "/")+1:])
		if known, ok := wellKnown[name]; ok {
			return known, ""
		}
		return "@" + name, name
	}
	if len(one.AllOf) == 1 {
		return typeOf(one.AllOf[0])
	}
	switch one.Type {
	case "array":
		item, name := typeOf(one.Items)
		return "[" + item, name
	case "object":
		return typeOfObject(one)
	case "string":
		return map[string]string{"byte": "y", "date-time": "t"}[one.Format] + orEmpty(one.Format == "byte" || one.Format == "date-time", "s"), ""
	case "integer":
		if one.Format == "int32" {
			return "i", ""
		}
		return "I", ""
	case "number":
		return "n", ""
	case "boolean":
		return "b", ""
	}
	return "*", ""
}

func orEmpty(isEmpty bool, text string) string {
	if isEmpty {
		return ""
	}
	return text
}

// typeOfObject is that of a map, or of an object of which nothing is known.
func typeOfObject(one *schema) (string, string) {
	var value schema
	if json.Unmarshal(one.AdditionalProperties, &value) == nil {
		item, name := typeOf(&value)
		return "{" + item, name
	}
	return "o", ""
}
