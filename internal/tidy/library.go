package tidy

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

const (
	tjfoc    = "github.com/tjfoc/gmsm"
	emmansun = "github.com/emmansun/gmsm"
)

// library says what of a cryptographic library may be touched.
type library struct {
	allow []string // the only names that may be used; nil means all
	deny  []string
}

// libraries lists the packages that may be imported at all, with what is closed in them. The rest of both modules
// (tjfoc's X.509, PKCS#7, #8 and #12, gmtls, SM9) crashes on hostile input or is nothing the gateway needs. Of
// emmansun's X.509 crypto/cert takes the encoder, and the parser behind a gate for the form; it verifies itself.
//
// tjfoc/sm4: Sm4GCM is no GCM (tags are wrong and unchecked, the key stream repeats), the modes swallow padding errors
// and share one global IV. tjfoc/sm2: Decompress panics, the key exchange pads wrongly. emmansun/sm2: VerifyASN1 takes
// a hash and cuts it silently, so a forged message verifies.
func libraries() map[string]library {
	return map[string]library{
		tjfoc + "/sm2":    {deny: []string{"Compress", "Decompress", "KeyExchangeA", "KeyExchangeB"}},
		tjfoc + "/sm3":    {},
		tjfoc + "/sm4":    {allow: []string{"NewCipher", "BlockSize"}},
		emmansun + "/sm2": {deny: []string{"VerifyASN1", "Verify", "SignASN1"}},
		emmansun + "/sm3": {},
		emmansun + "/sm4": {},
		emmansun + "/smx509": {allow: []string{
			"Certificate", "CertificateRequest", "RevocationList", "RevocationListEntry", "SM2WithSM3",
			"KeyUsageDigitalSignature", "KeyUsageContentCommitment", "KeyUsageKeyEncipherment",
			"KeyUsageDataEncipherment", "KeyUsageKeyAgreement", "KeyUsageCertSign", "KeyUsageCRLSign",
			"ParseCertificate", "ParseCertificateRequest", "ParseRevocationList",
			"CreateCertificate", "CreateCertificateRequest", "CreateRevocationList",
		}},
	}
}

func checkLibraryCalls(t *Tree) []Finding {
	known := libraries()
	var found []Finding
	for _, f := range t.Go() {
		for _, spec := range f.Syntax.Imports {
			imported := importPath(spec)
			if !within(imported, tjfoc) && !within(imported, emmansun) {
				continue
			}
			lib, ok := known[imported]
			if !ok && f.Path == tlcpTest {
				continue
			}
			if !ok {
				found = append(found, t.at(f, spec.Pos(), "imports %s: closed, see the comment on libraries", imported))
				continue
			}
			found = append(found, t.libraryUse(f, localName(spec), imported, lib)...)
		}
	}
	return found
}

// tlcpTest plays a terminator of TLCP in front of the gateway, with the library's own TLCP on both sides of it. Nothing
// of that is in the program.
const tlcpTest = "gateway/node/tlcp_test.go"

// digestVerifier is the one function that may call VerifyASN1, after it has checked the digest's length: some published
// vectors give a digest and no message.
const digestVerifier = "verifyDigest"

func localName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return path.Base(importPath(spec))
}

func (t *Tree) libraryUse(f *File, local, imported string, lib library) []Finding {
	var found []Finding
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncDecl); ok && fn.Name.Name == digestVerifier {
			return false
		}
		if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, local) {
			name := sel.Sel.Name
			if slices.Contains(lib.deny, name) || (lib.allow != nil && !slices.Contains(lib.allow, name)) {
				found = append(found, t.at(f, sel.Pos(), "uses %s.%s, which is unsafe", imported, name))
			}
		}
		if call, ok := n.(*ast.CallExpr); ok && imported == emmansun+"/sm2" && signsRaw(call) {
			found = append(found, t.at(f, call.Pos(),
				"Sign with nil options takes the message for its hash: pass sm2.DefaultSM2SignerOpts"))
		}
		return true
	})
	return found
}

// signsRaw recognises key.Sign(random, message, nil).
func signsRaw(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	last := len(call.Args) - 1
	return ok && strings.HasPrefix(sel.Sel.Name, "Sign") && last >= 2 && isIdent(call.Args[last], "nil")
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
