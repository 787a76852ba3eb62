package webui_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/internal/openapitest"
	"sekali/webui"
)

func TestOpenAPIIsASoundDescriptionWithTrueExamples(t *testing.T) {
	openapitest.New(t, webui.OpenAPI()).CheckExamples(t)
}

func TestOpenAPIKnowsEveryCodeOfTheDomain(t *testing.T) {
	var document struct {
		Components struct {
			Schemas struct {
				Error struct {
					Properties struct {
						Code struct {
							Enum []sekali.Code `json:"enum"`
						} `json:"code"`
					} `json:"properties"`
				} `json:"Error"`
			} `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(webui.OpenAPI(), &document))
	require.Subset(t, document.Components.Schemas.Error.Properties.Code.Enum, []sekali.Code{
		sekali.CodeInvalidEvent, sekali.CodeNotFound, sekali.CodeTopicOverloaded, sekali.CodeOverloaded,
		sekali.CodeTimeout, sekali.CodeShuttingDown, sekali.CodeStorageFailed, sekali.CodeStorageFull,
		sekali.CodeStorageBusy, sekali.CodeTopicRestarted, sekali.CodeInternal,
	})
}

func TestDocsAssetServesThePageAndAllThatItAsksFor(t *testing.T) {
	page, contentType, ok := webui.DocsAsset("")
	require.True(t, ok)
	require.Equal(t, "text/html; charset=utf-8", contentType)

	types := map[string]string{
		"favicon-32x32.png":    "image/png",
		"init.js":              "text/javascript; charset=utf-8",
		"sekali.css":           "text/css; charset=utf-8",
		"swagger-ui-bundle.js": "text/javascript; charset=utf-8",
		"swagger-ui.css":       "text/css; charset=utf-8",
	}
	links := regexp.MustCompile(`(?:src|href)="/docs/([^"]+)"`).FindAllSubmatch(page, -1)
	require.Len(t, links, len(types))
	for _, link := range links {
		name := string(link[1])
		body, contentType, ok := webui.DocsAsset(name)
		require.True(t, ok, name)
		require.NotEmpty(t, body, name)
		require.Equal(t, types[name], contentType, name)
	}
}

func TestDocsAssetServesTheLicencesOfWhatItCarries(t *testing.T) {
	for _, name := range []string{"LICENSE.txt", "NOTICE.txt", "swagger-ui-bundle.js.LICENSE.txt"} {
		_, contentType, ok := webui.DocsAsset(name)
		require.True(t, ok, name)
		require.Equal(t, "text/plain; charset=utf-8", contentType)
	}
}

func TestDocsAssetRefusesNamesThatAreNotItsFiles(t *testing.T) {
	for _, name := range []string{"nothing.js", ".", "..", "/", "../openapi.json", "../embed.go", "README.md", "index.html/", "x\x00.js"} {
		_, _, ok := webui.DocsAsset(name)
		require.False(t, ok, "%q", name)
	}
}

// The server's Content-Security-Policy refuses inline scripts and everything
// from elsewhere; this finds such a thing without a browser.
func TestThePageHasNoInlineScriptAndLoadsNothingFromOutside(t *testing.T) {
	page, _, _ := webui.DocsAsset("")
	require.NotRegexp(t, `<script(>|[^>]*>[^<])`, string(page))
	require.NotRegexp(t, `\son[a-z]+=`, string(page))
	for _, name := range []string{"", "init.js", "sekali.css"} {
		body, _, _ := webui.DocsAsset(name)
		require.NotContains(t, strings.ToLower(string(body)), "://", name)
	}
}

func TestAnswersWithAFileOfThePageShareItsMemory(t *testing.T) {
	const name = "swagger-ui-bundle.js"
	first, _, ok := webui.DocsAsset(name)
	require.True(t, ok)
	again, contentType, ok := webui.DocsAsset(name)
	require.True(t, ok)
	require.Equal(t, "text/javascript; charset=utf-8", contentType)
	require.Same(t, &first[0], &again[0])
}
