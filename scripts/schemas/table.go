package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// format is the version of the notation; src/schema/table.rs reads exactly this one.
const format = 1

// mask has a bit for each version of the table, the lowest for the oldest.
type mask uint32

// table is what is known of all versions: each line and the versions in which it holds.
type table struct {
	versions   []string
	kinds      map[string]mask
	types      map[string]mask
	fields     map[string]map[string]mask
	lifecycles map[string]lifecycle
}

func newTable(versions []string) *table {
	return &table{
		versions: versions, kinds: map[string]mask{}, types: map[string]mask{},
		fields: map[string]map[string]mask{}, lifecycles: map[string]lifecycle{},
	}
}

// add reads a version.
func (t *table) add(index int, from modules) error {
	kinds, types, err := readDocuments(from.kubernetes)
	if err != nil {
		return err
	}
	enums, err := readEnums(from.kubernetes)
	if err != nil {
		return err
	}
	lifecycles, err := readLifecycles(from.api)
	if err != nil {
		return err
	}
	maps.Copy(t.lifecycles, lifecycles)
	bit := mask(1) << index
	for _, one := range kinds {
		t.kinds[kindLine(one)] |= bit
		t.addType(one.typeName, bit, types, enums, one.hasStatus)
	}
	return nil
}

func kindLine(one kind) string {
	scope := map[bool]string{true: "n", false: "c"}[one.namespaced]
	if one.hasStatus {
		scope += "s"
	}
	return fmt.Sprintf("k %s %s %s %s %s", one.apiVersion, one.name, one.plural, scope, one.typeName)
}

// addType adds a type and those that it refers to. The status of a kind that has it as a subresource is left out: nobody
// who applies an object can set it.
func (t *table) addType(name string, bit mask, types map[string]*schema, enums map[string][]string, hasStatus bool) {
	one := types[name]
	if one == nil || t.types[name]&bit != 0 {
		return
	}
	t.types[name] |= bit
	if t.fields[name] == nil {
		t.fields[name] = map[string]mask{}
	}
	if len(one.Properties) == 0 {
		written, _ := typeOf(one)
		t.fields[name]["= "+written] |= bit
		return
	}
	for field, property := range one.Properties {
		if field == "status" && hasStatus {
			t.fields[name]["status *"] |= bit
			continue
		}
		line, refers := fieldLine(name, field, one, property, enums)
		t.fields[name][line] |= bit
		t.addType(refers, bit, types, enums, false)
	}
}

func fieldLine(owner, name string, parent, one *schema, enums map[string][]string) (string, string) {
	written, refers := typeOf(one)
	line := name + " " + written
	if slices.Contains(parent.Required, name) {
		line = "!" + line
	}
	key := owner + "." + name
	for range strings.Count(written, "[") + strings.Count(written, "{") {
		key += "[]"
	}
	if values := slices.DeleteFunc(slices.Clone(enums[key]), func(value string) bool { return value == "" }); len(values) > 0 {
		line += " =" + strings.Join(values, "|")
	}
	switch one.ListType {
	case "map":
		line += " k:" + strings.Join(one.ListKeys, ",")
	case "set":
		line += " set"
	}
	if one.PatchStrategy != "" {
		line += " p:" + one.PatchStrategy
	}
	if one.MergeKey != "" {
		line += " m:" + one.MergeKey
	}
	return line, refers
}

// text is the table as it is checked in.
func (t *table) text() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "windlass-schemas %d\n", format)
	fmt.Fprintf(&out, "v %s\n", strings.Join(t.versions, " "))
	every := mask(1)<<len(t.versions) - 1
	for _, line := range slices.Sorted(maps.Keys(t.kinds)) {
		out.WriteString(line + suffix(t.kinds[line], every) + "\n")
	}
	for _, key := range slices.Sorted(maps.Keys(t.lifecycles)) {
		if one := t.lifecycles[key]; one.deprecated != "" {
			fmt.Fprintf(&out, "d %s %s %s %s\n", key, one.deprecated, orDash(one.removed), orDash(one.replacement))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.types)) {
		own := t.types[name]
		out.WriteString("t " + name + suffix(own, every) + "\n")
		for _, line := range slices.SortedFunc(maps.Keys(t.fields[name]), byName) {
			out.WriteString(line + suffix(t.fields[name][line], own) + "\n")
		}
	}
	return out.Bytes()
}

// suffix names the versions of a line, unless they are those that are expected.
func suffix(own, expected mask) string {
	if own == expected {
		return ""
	}
	return fmt.Sprintf(" #%x", uint32(own))
}

func byName(one, other string) int {
	return strings.Compare(strings.TrimPrefix(one, "!"), strings.TrimPrefix(other, "!"))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
