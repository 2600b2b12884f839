package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readEnums gives the enums of the generated Go code by type and field: "core.v1.Container.imagePullPolicy". Those of the
// items of a list end with "[]".
func readEnums(kubernetes string) (map[string][]string, error) {
	path := filepath.Join(kubernetes, "pkg/generated/openapi/zz_generated.openapi.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	enums := map[string][]string{}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(function.Name.Name, "schema_") {
			continue
		}
		// schema_k8sio_api_core_v1_Container
		parts := strings.Split(function.Name.Name, "_")
		name := strings.Join(parts[max(0, len(parts)-3):], ".")
		ast.Inspect(function.Body, func(node ast.Node) bool {
			if pair, ok := node.(*ast.KeyValueExpr); ok && isNamed(pair.Key, "Properties") {
				for _, property := range elements(pair.Value) {
					collectEnums(name+"."+stringOf(property.Key), property.Value, enums)
				}
				return false
			}
			return true
		})
	}
	return enums, nil
}

// collectEnums reads the enum of a property and of its items.
func collectEnums(name string, value ast.Node, enums map[string][]string) {
	ast.Inspect(value, func(node ast.Node) bool {
		pair, ok := node.(*ast.KeyValueExpr)
		switch {
		case !ok:
			return true
		case isNamed(pair.Key, "Enum"):
			if list, ok := pair.Value.(*ast.CompositeLit); ok {
				for _, element := range list.Elts {
					enums[name] = append(enums[name], stringOf(element))
				}
				// 1.27 has some values twice.
				slices.Sort(enums[name])
				enums[name] = slices.Compact(enums[name])
			}
			return false
		case isNamed(pair.Key, "Items"), isNamed(pair.Key, "AdditionalProperties"):
			collectEnums(name+"[]", pair.Value, enums)
			return false
		}
		return true
	})
}

func isNamed(key ast.Expr, name string) bool {
	identifier, ok := key.(*ast.Ident)
	return ok && identifier.Name == name
}

func elements(value ast.Expr) []*ast.KeyValueExpr {
	literal, ok := value.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var pairs []*ast.KeyValueExpr
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

func stringOf(expression ast.Expr) string {
	literal, ok := expression.(*ast.BasicLit)
	if !ok {
		return ""
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return literal.Value
	}
	return text
}
