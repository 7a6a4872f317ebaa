-- Quarto's callouts for the fallback: a styled block in the page, a coloured block in the PDF.
function Div(div)
  local kind
  for _, class in ipairs(div.classes) do
    kind = kind or class:match('^callout%-(%a+)$')
  end
  if not kind then return nil end
  if FORMAT:match('typst') then
    local blocks = pandoc.List({ pandoc.RawBlock('typst', '#callout("' .. kind .. '")[') })
    blocks:extend(div.content)
    blocks:insert(pandoc.RawBlock('typst', ']'))
    return blocks
  end
  div.classes:insert('callout')
  div.attributes['role'] = 'note'
  return div
end
