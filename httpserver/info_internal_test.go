package httpserver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"sekali/webui"
)

// TestStaticAnswersTakeNoMemoryOfTheirOwn: they are for strangers too, who may
// ask on every connection and not read.
func TestStaticAnswersTakeNoMemoryOfTheirOwn(t *testing.T) {
	const name = "swagger-ui-bundle.js"
	asset, _, ok := webui.DocsAsset(name)
	require.True(t, ok)
	var ctx fasthttp.RequestCtx
	require.NoError(t, new(Server).handleDocs(&ctx, []string{name}))
	require.Same(t, &asset[0], &ctx.Response.Body()[0])
	require.NoError(t, new(Server).handleOpenAPI(&ctx, nil))
	require.Same(t, &webui.OpenAPI()[0], &ctx.Response.Body()[0])
}
