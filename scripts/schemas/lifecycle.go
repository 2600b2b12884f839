package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// lifecycle is when a kind came, was deprecated and removed, and what replaces it.
type lifecycle struct{ introduced, deprecated, removed, replacement string }

var groupName = regexp.MustCompile(`const GroupName = "([^"]*)"`)

// readLifecycles gives the lifecycle of each kind: "extensions/v1beta1 Ingress".
func readLifecycles(api string) (map[string]lifecycle, error) {
	files, err := filepath.Glob(filepath.Join(api, "*/*/zz_generated.prerelease-lifecycle.go"))
	if err != nil {
		return nil, err
	}
	found := map[string]lifecycle{}
	for _, path := range files {
		register, err := os.ReadFile(filepath.Join(filepath.Dir(path), "register.go"))
		if err != nil {
			return nil, err
		}
		group := ""
		if name := groupName.FindSubmatch(register); name != nil {
			group = string(name[1])
		}
		apiVersion := strings.TrimPrefix(group+"/"+filepath.Base(filepath.Dir(path)), "/")
		if err := readLifecycle(path, apiVersion, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func readLifecycle(path, apiVersion string, found map[string]lifecycle) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv == nil {
			continue
		}
		receiver, ok := function.Recv.List[0].Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		kind := receiver.X.(*ast.Ident).Name
		answer, ok := function.Body.List[0].(*ast.ReturnStmt)
		if !ok || strings.HasSuffix(kind, "List") {
			continue
		}
		key := apiVersion + " " + kind
		one := found[key]
		switch function.Name.Name {
		case "APILifecycleIntroduced":
			one.introduced = versionOf(answer)
		case "APILifecycleDeprecated":
			one.deprecated = versionOf(answer)
		case "APILifecycleRemoved":
			one.removed = versionOf(answer)
		case "APILifecycleReplacement":
			one.replacement = replacementOf(answer)
		}
		found[key] = one
	}
	return nil
}

// versionOf is "1.22" of `return 1, 22`.
func versionOf(answer *ast.ReturnStmt) string {
	return stringOf(answer.Results[0]) + "." + stringOf(answer.Results[1])
}

func replacementOf(answer *ast.ReturnStmt) string {
	parts := map[string]string{}
	for _, pair := range elements(answer.Results[0]) {
		parts[pair.Key.(*ast.Ident).Name] = stringOf(pair.Value)
	}
	return strings.TrimPrefix(parts["Group"]+"/"+parts["Version"], "/") + "/" + parts["Kind"]
}
