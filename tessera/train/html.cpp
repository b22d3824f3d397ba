// What the pages share: the frame of a document, its style, the script for its charts; pictures of attention.
#include "tessera/train/html.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tessera::train {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d1f23;--soft:#686d76;--line:#e6e4df;--train:#8a93a3;--test:#1f6f8b;--rate:#9a7b3f;--good:31,111,139;--bad:196,84,48;--shade:0 1px 2px rgba(20,20,20,.05)}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--paper:#141517;--card:#1b1d20;--ink:#e9e8e5;--soft:#989da6;--line:#2d3035;--train:#7b8494;--test:#5fb7d4;--rate:#cfa85b;--good:95,183,212;--bad:232,125,86;--shade:none}}
:root[data-theme=dark]{--paper:#141517;--card:#1b1d20;--ink:#e9e8e5;--soft:#989da6;--line:#2d3035;--train:#7b8494;--test:#5fb7d4;--rate:#cfa85b;--good:95,183,212;--bad:232,125,86;--shade:none}
:root[data-theme=light]{color-scheme:light}:root[data-theme=dark]{color-scheme:dark}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
header{display:flex;align-items:flex-start;gap:16px}
header div{flex:1;min-width:0}
h1{font-size:clamp(28px,5vw,40px);line-height:1.1;letter-spacing:-.02em;margin:0;overflow-wrap:anywhere}
h2{font-size:20px;letter-spacing:-.01em;margin:56px 0 4px}
h2+p,header p{color:var(--soft);margin:4px 0 16px;max-width:68ch}
button{font:inherit;font-size:14px;color:var(--soft);background:none;border:1px solid var(--line);border-radius:8px;padding:4px 12px;cursor:pointer}
button:hover{color:var(--ink)}
.note{border-left:3px solid rgb(var(--bad));padding:8px 14px;background:rgba(var(--bad),.08);border-radius:0 8px 8px 0;margin:16px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:24px 0 0}
.tile,.chart,.panel{background:var(--card);border:1px solid var(--line);border-radius:12px;box-shadow:var(--shade)}
.tile{padding:14px 16px}
.tile b{display:block;font-size:25px;line-height:1.2;font-weight:600;letter-spacing:-.02em;white-space:nowrap}
.tile b small{font-size:15px;font-weight:500;color:var(--soft);letter-spacing:0}
.tile span{font-size:13px;color:var(--soft)}
.tile.first b{color:var(--test)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px}
.chart{margin:0;padding:14px 18px 34px}
figcaption{display:flex;flex-wrap:wrap;gap:2px 16px;align-items:baseline;margin-bottom:14px}
.key{font-size:13px;color:var(--soft)}
.key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;background:currentColor}
.key.train::before{background:var(--train)}.key.test::before{background:var(--test)}.key.rate::before{background:var(--rate)}
.plot{position:relative;height:220px;margin-left:44px;touch-action:pan-y}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
.plot polyline,.dot{fill:none;stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.dot{stroke-width:6;stroke-linecap:round}
.plot .train{stroke:var(--train);stroke-width:1.5}.plot .test{stroke:var(--test)}.plot .rate{stroke:var(--rate)}
.plot i{position:absolute;font-style:normal;font-size:12px;line-height:1;color:var(--soft)}
.plot i.y{left:0;right:0;border-top:1px solid var(--line)}
.plot i.y span{position:absolute;right:100%;margin-right:8px;transform:translateY(-55%);white-space:nowrap}
.plot i.x{top:100%}
.plot i.x span{position:absolute;top:8px;transform:translateX(-50%)}
.cursor{position:absolute;top:0;bottom:0;width:1px;background:var(--soft);opacity:.5;display:none}
.tip{position:absolute;top:6px;display:none;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:4px 10px;font-size:13px;line-height:1.5;pointer-events:none;white-space:nowrap;z-index:2}
.panel{padding:16px 18px;overflow-x:auto}
table{border-collapse:collapse;font-size:14px;width:100%}
td,th{padding:5px 10px 5px 0;text-align:left;font-weight:400;vertical-align:baseline}
tr+tr td,tr+tr th{border-top:1px solid var(--line)}
.num{text-align:right;white-space:nowrap}
thead th{color:var(--soft);font-size:13px}
code{font:13px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.matrix{width:auto;border-collapse:separate;border-spacing:2px;font-size:13px;margin:0 auto}
.matrix td,.matrix th{border:0!important;padding:0}
.matrix td{width:46px;min-width:34px;height:36px;text-align:center;vertical-align:middle;border-radius:5px}
.matrix th{color:var(--soft);white-space:nowrap;vertical-align:middle}
.matrix tbody th{padding-right:10px;text-align:right;position:sticky;left:0;background:var(--card)}
.matrix thead th{height:84px;vertical-align:bottom;text-align:center}
.matrix thead span{writing-mode:vertical-rl;transform:rotate(180deg);padding-top:4px}
.split{display:grid;grid-template-columns:minmax(0,1fr) 300px;gap:16px}
.split>*{min-width:0}
.mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(112px,1fr));gap:12px}
.mistakes figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px;font-size:13px;line-height:1.35}
.mistakes img{display:block;width:100%;aspect-ratio:1;object-fit:contain;image-rendering:pixelated;border-radius:6px;background:#000;margin-bottom:8px}
.mistakes b{font-weight:600;color:rgb(var(--bad))}
.mistakes span{display:block;color:var(--soft);overflow-wrap:break-word}
.mistakes small{font-size:12px;color:var(--soft);white-space:nowrap}
.alignment td{width:22px;min-width:22px;height:22px;border-radius:3px}
.alignment thead th{height:auto}
.alignments{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;margin-top:16px;align-items:start}
.bar{height:8px;border-radius:4px;background:var(--line);overflow:hidden;min-width:60px}
.bar div{height:100%;background:var(--test);border-radius:4px}
.bar.limit div{background:var(--train)}
.wide{width:40%}
footer{color:var(--soft);font-size:13px;margin-top:56px;border-top:1px solid var(--line);padding-top:16px}
@media (max-width:760px){main{padding:24px 16px 48px}.split{grid-template-columns:minmax(0,1fr)}.tile b{font-size:22px}.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}h2{margin-top:40px}.matrix{font-size:12px}.matrix td{width:34px;height:32px}.mistakes{grid-template-columns:repeat(auto-fill,minmax(96px,1fr))}.wide{width:22%}.chart{padding:12px 14px 32px}.panel{padding:12px 14px}.hide{display:none}}
@media print{button{display:none}.tile,.chart,.panel{box-shadow:none}}
)css";

// Theme button; values under the pointer.
constexpr std::string_view kScript = R"js(
(function(){
var root=document.documentElement,button=document.querySelector('button');
button.onclick=function(){var dark=root.dataset.theme?root.dataset.theme==='dark':matchMedia('(prefers-color-scheme:dark)').matches;root.dataset.theme=dark?'light':'dark'};
document.querySelectorAll('.plot').forEach(function(plot){
 var data=JSON.parse(plot.querySelector('script').textContent),cursor=plot.querySelector('.cursor'),tip=plot.querySelector('.tip');
 function show(e){
  var box=plot.getBoundingClientRect(),part=Math.min(1,Math.max(0,(e.clientX-box.left)/box.width)),at=part*data.max;
  tip.textContent='';
  var head=document.createElement('div');head.textContent='epoch '+at.toFixed(2);head.style.color='var(--soft)';tip.appendChild(head);
  data.series.forEach(function(s){
   var best=0;for(var i=1;i<s.x.length;i++)if(Math.abs(s.x[i]-at)<Math.abs(s.x[best]-at))best=i;
   var row=document.createElement('div');row.className='key '+s.c;var v=s.y[best];
   row.textContent=s.n+' '+(data.percent?(100*v).toFixed(2)+' %':v>=100?v.toFixed(0):v.toPrecision(4));tip.appendChild(row)});
  cursor.style.display=tip.style.display='block';cursor.style.left=100*part+'%';
  if(part<.5){tip.style.left='calc('+100*part+'% + 10px)';tip.style.right='auto'}else{tip.style.right='calc('+100*(1-part)+'% + 10px)';tip.style.left='auto'}
 }
 plot.addEventListener('pointermove',show);plot.addEventListener('pointerdown',show);
 plot.addEventListener('pointerleave',function(){cursor.style.display=tip.style.display='none'});
});
})();
)js";

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string format_document(const std::string& title, const std::string& description, const std::string& body,
                            const std::string& footer) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'\">"
      "<title>{0} · Tessera</title><style>{1}</style></head><body><main>\n<header><div><h1>{0}</h1><p>{2}</p></div>"
      "<button type=\"button\">Light / dark</button></header>\n{3}"
      "<footer>{4} This page loads nothing from anywhere.</footer>\n</main><script>{5}</script></body></html>\n",
      escape_html(title), kStyle, escape_html(description), body, escape_html(footer), kScript);
}

std::string format_alignments(const std::vector<Alignment>& alignments) {
  if (alignments.empty()) return "";
  std::string html =
      "<h2>Attention</h2><p>Each row is a piece of a translation; the darker a field, the more it attended to that "
      "piece "
      "of the source.</p>\n<div class=\"alignments\">\n";
  for (const Alignment& a : alignments) {
    html += "<div class=\"panel\"><table class=\"matrix alignment\"><thead><tr><th></th>";
    for (const std::string& piece : a.source) html += fmt::format("<th><span>{}</span></th>", escape_html(piece));
    html += "</tr></thead><tbody>";
    for (std::size_t t = 0; t < a.target.size(); ++t) {
      html += fmt::format("<tr><th>{}</th>", escape_html(a.target[t]));
      for (std::size_t s = 0; s < a.source.size(); ++s) {
        const float weight = a.weights[t * a.source.size() + s];
        html += fmt::format("<td style=\"background:rgba(var(--good),{:.2f})\" title=\"{} - {}: {:.0f} %\"></td>",
                            std::clamp(weight, 0.03F, 1.0F), escape_html(a.target[t]), escape_html(a.source[s]),
                            100 * weight);
      }
      html += "</tr>";
    }
    html += "</tbody></table></div>\n";
  }
  return html + "</div>\n";
}

}  // namespace tessera::train
