TOP := $top
LANGUAGE := $language
